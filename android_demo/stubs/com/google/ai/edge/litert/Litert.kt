package com.google.ai.edge.litert

enum class Accelerator {
    NONE,
    CPU,
    GPU,
    NPU
}

abstract class JniHandle internal constructor() : AutoCloseable {
    final override fun close(): Unit = stub()
}

class Environment private constructor() : JniHandle() {
    enum class Option

    fun getAvailableAccelerators(): Set<Accelerator> = stub()

    companion object {
        @JvmOverloads
        @JvmStatic
        @Suppress("UNUSED_PARAMETER")
        fun create(options: Map<Option, String> = mapOf()): Environment = stub()
    }
}

@Suppress("UNUSED_PARAMETER")
class CompiledModel private constructor() : JniHandle() {
    class Options(accelerators: Set<Accelerator>) {
        constructor(vararg accelerators: Accelerator) : this(setOf(*accelerators))

        companion object {
            @JvmStatic
            val CPU: Options = Options(Accelerator.CPU)
        }
    }

    @JvmOverloads
    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = stub()

    @JvmOverloads
    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = stub()

    @JvmOverloads
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0): Unit = stub()

    companion object {
        @JvmOverloads
        @JvmStatic
        fun create(filePath: String, options: Options = Options.CPU, optionalEnv: Environment? = null): CompiledModel = stub()
    }
}

@Suppress("UNUSED_PARAMETER")
class TensorBuffer internal constructor() : JniHandle() {
    fun writeFloat(data: FloatArray): Unit = stub()

    fun writeInt8(data: ByteArray): Unit = stub()

    fun readFloat(): FloatArray = stub()

    fun readInt8(): ByteArray = stub()
}

private fun stub(): Nothing = throw UnsatisfiedLinkError("a stub")
