package org.tensorflow.lite;

public interface InterpreterApi extends AutoCloseable {
    class Options {}

    void run(Object input, Object output);

    @Override
    void close();
}
