package org.levitmobile.demo

import android.os.Build
import java.nio.ByteBuffer
import org.levitmobile.core.Bundle
import org.levitmobile.core.Runtime
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** A `.pte`, by ExecuTorch. Its input and output are float32. */
internal class ExecuTorchModule(override val name: String, bundle: Bundle, threads: Int) : Runtime {
    override val version: String = BuildConfig.EXECUTORCH_VERSION
    private val shape = bundle.manifest.input.shape.map(Int::toLong).toLongArray()
    private val module = Module.load(bundle.artifact.path, Module.LOAD_MODE_MMAP, threads)

    private val method = bundle.manifest.methods.let { methods ->
        // An emulator on x86 would load the one in float16, and convert to and fro.
        val faster = if (Build.SUPPORTED_ABIS.first().startsWith("arm")) methods.dropLast(1) else emptyList()
        faster.find(::loads) ?: methods.last().also(module::loadMethod)
    }

    /** Whether this processor has what a method needs. */
    private fun loads(method: String): Boolean = try {
        module.loadMethod(method)
        true
    } catch (_: RuntimeException) {
        false
    }

    override fun run(input: ByteBuffer, output: ByteBuffer) {
        input.rewind()
        output.rewind()
        val answer = module.execute(method, EValue.from(Tensor.fromBlob(input.asFloatBuffer(), shape)))
        output.asFloatBuffer().put(answer[0].toTensor().dataAsFloatArray)
    }

    override fun close() = module.destroy()
}
