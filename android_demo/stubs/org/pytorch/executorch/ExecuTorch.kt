package org.pytorch.executorch

import java.io.Closeable
import java.nio.FloatBuffer

@Suppress("UNUSED_PARAMETER")
open class Module private constructor() : Closeable {
    open fun execute(methodName: String, vararg inputs: EValue): Array<EValue> = stub()

    open fun loadMethod(methodName: String): Unit = stub()

    open fun destroy(): Unit = stub()

    override fun close(): Unit = stub()

    companion object {
        const val LOAD_MODE_MMAP = 1

        @JvmStatic
        @JvmOverloads
        fun load(modelPath: String?, loadMode: Int = 0, numThreads: Int = 0): Module = stub()
    }
}

class EValue private constructor() {
    fun toTensor(): Tensor = stub()

    companion object {
        @JvmStatic
        @Suppress("UNUSED_PARAMETER")
        fun from(tensor: Tensor): EValue = stub()
    }
}

abstract class Tensor internal constructor() {
    open val dataAsFloatArray: FloatArray
        get() = stub()

    companion object {
        @JvmStatic
        @Suppress("UNUSED_PARAMETER")
        fun fromBlob(data: FloatBuffer, shape: LongArray): Tensor = stub()
    }
}

private fun stub(): Nothing = throw UnsatisfiedLinkError("a stub")
