package org.tensorflow.lite;

import java.io.File;

public final class Interpreter extends InterpreterImpl implements InterpreterApi {
    public static class Options extends InterpreterImpl.Options {
        public Options setUseXNNPACK(boolean useXNNPACK) {
            return this;
        }

        public Options setNumThreads(int numThreads) {
            return this;
        }
    }

    public Interpreter(File modelFile, Options options) {}
}
