package org.levitmobile.demo

import android.content.Context
import com.google.ai.edge.litert.Environment
import org.levitmobile.core.Bundle
import org.levitmobile.core.DType
import org.levitmobile.core.Runtime
import org.levitmobile.core.RuntimeFailure

/** Who computes. A `.pte` was lowered for one when it was exported, so there is nothing to choose. */
internal enum class Accelerator(val id: String, val label: Int) {
    CPU("cpu", R.string.cpu),
    GPU("gpu", R.string.gpu),
    NPU("npu", R.string.npu)
}

private const val LITERT = "LiteRT"
private const val EXECUTORCH = "ExecuTorch"

/** Those that this device has for a bundle; the first is always the CPU. */
internal fun acceleratorsFor(bundle: Bundle): List<Accelerator> {
    if (bundle.manifest.target != "tflite" || !fitsCompiledModel(bundle)) return listOf(Accelerator.CPU)
    val found =
        try {
            Environment.create().use { it.getAvailableAccelerators() }
        } catch (_: Exception) {
            emptySet()
        } catch (_: LinkageError) {
            emptySet()
        }
    return Accelerator.entries.filter { mine -> mine == Accelerator.CPU || found.any { it.name == mine.name } }
}

/**
 * Load a bundle's artifact.
 *
 * @throws RuntimeFailure if the runtime is not there, or refuses it
 */
internal fun openRuntime(context: Context, bundle: Bundle, accelerator: Accelerator, threads: Int): Runtime =
    when (val target = bundle.manifest.target) {
        "tflite" ->
            when {
                accelerator == Accelerator.CPU ->
                    loading(context, LITERT) { LiteRtInterpreter(LITERT, bundle.artifact, threads) }

                fitsCompiledModel(bundle) ->
                    loading(context, LITERT) {
                        LiteRtCompiledModel("$LITERT (${accelerator.id})", bundle, litert(accelerator))
                    }

                else -> throw RuntimeFailure(context.getString(R.string.accelerator_dtype))
            }

        "executorch" ->
            loading(context, EXECUTORCH) { ExecuTorchModule(EXECUTORCH, bundle, threads) }

        else -> throw RuntimeFailure(context.getString(R.string.target_unknown, target))
    }

private inline fun loading(context: Context, name: String, load: () -> Runtime): Runtime = try {
    load()
} catch (error: LinkageError) { // its native library
    throw RuntimeFailure(context.getString(R.string.runtime_missing, name), error)
} catch (error: Exception) { // each runtime has its own kinds
    throw RuntimeFailure(error.message ?: error.toString(), error)
}

/** LiteRT's buffers for accelerators have no uint8. */
private fun fitsCompiledModel(bundle: Bundle): Boolean =
    listOf(bundle.manifest.input, bundle.manifest.output).none { it.dtype == DType.UINT8 }

private fun litert(accelerator: Accelerator): com.google.ai.edge.litert.Accelerator = when (accelerator) {
    Accelerator.CPU -> com.google.ai.edge.litert.Accelerator.CPU
    Accelerator.GPU -> com.google.ai.edge.litert.Accelerator.GPU
    Accelerator.NPU -> com.google.ai.edge.litert.Accelerator.NPU
}
