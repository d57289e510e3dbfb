package org.levitmobile.demo

import java.io.File
import java.nio.ByteBuffer
import org.levitmobile.core.Runtime
import org.tensorflow.lite.Interpreter

/** A `.tflite` on the CPU, by LiteRT's Interpreter: XNNPACK, any number of threads, any kind of number. */
internal class LiteRtInterpreter(override val name: String, artifact: File, threads: Int) : Runtime {
    override val version: String = BuildConfig.LITERT_VERSION
    private val interpreter = Interpreter(artifact, Interpreter.Options().setNumThreads(threads).setUseXNNPACK(true))

    override fun run(input: ByteBuffer, output: ByteBuffer) {
        input.rewind()
        output.rewind()
        interpreter.run(input, output)
    }

    override fun close() = interpreter.close()
}
