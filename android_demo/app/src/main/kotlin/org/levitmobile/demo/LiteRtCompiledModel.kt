package org.levitmobile.demo

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import java.nio.ByteBuffer
import org.levitmobile.core.Bundle
import org.levitmobile.core.DType
import org.levitmobile.core.Runtime

/** A `.tflite` on the GPU or the NPU, by LiteRT's CompiledModel. Its buffers take float32 and int8. */
internal class LiteRtCompiledModel(override val name: String, bundle: Bundle, accelerator: Accelerator) : Runtime {
    override val version: String = BuildConfig.LITERT_VERSION
    private val manifest = bundle.manifest
    private val model = CompiledModel.create(bundle.artifact.path, CompiledModel.Options(accelerator))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private val floats = FloatArray(manifest.input.count)
    private val bytes = ByteArray(manifest.input.count)

    override fun run(input: ByteBuffer, output: ByteBuffer) {
        input.rewind()
        output.rewind()
        if (manifest.input.dtype == DType.FLOAT32) {
            input.asFloatBuffer().get(floats)
            inputs[0].writeFloat(floats)
        } else {
            input.get(bytes)
            inputs[0].writeInt8(bytes)
        }
        model.run(inputs, outputs)
        if (manifest.output.dtype == DType.FLOAT32) {
            output.asFloatBuffer().put(outputs[0].readFloat())
        } else {
            output.put(outputs[0].readInt8())
        }
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }
}
