package org.levitmobile.host

import java.io.File
import java.nio.ByteBuffer
import org.levitmobile.core.Benchmark
import org.levitmobile.core.Bundle
import org.levitmobile.core.BundleClassifier
import org.levitmobile.core.FolderSource
import org.levitmobile.core.Health
import org.levitmobile.core.Json
import org.levitmobile.core.Phone
import org.levitmobile.core.Picture
import org.levitmobile.core.Runtime
import org.levitmobile.core.Settings
import org.levitmobile.core.buffer
import org.levitmobile.core.fill
import org.levitmobile.core.floats
import org.levitmobile.core.write

/** A `.tflite` by the library of ai-edge-litert. */
internal class LiteRtHost(artifact: File) : Runtime {
    override val name = "LiteRT"
    override val version = "host"
    private val handle = open(artifact.path)

    override fun run(input: ByteBuffer, output: ByteBuffer) = run(handle, input, output)

    override fun close() = close(handle)

    private external fun open(path: String): Long

    private external fun run(handle: Long, input: ByteBuffer, output: ByteBuffer)

    private external fun close(handle: Long)
}

/** A `.pte` by the libraries of executorch. */
internal class ExecuTorchHost(artifact: File, methods: List<String>, shape: List<Int>) : Runtime {
    override val name = "ExecuTorch"
    override val version = "host"
    private val handle = open(artifact.path, methods.toTypedArray(), shape.toIntArray())

    override fun run(input: ByteBuffer, output: ByteBuffer) = run(handle, input, output)

    override fun close() = close(handle)

    private external fun open(path: String, methods: Array<String>, shape: IntArray): Long

    private external fun run(handle: Long, input: ByteBuffer, output: ByteBuffer)

    private external fun close(handle: Long)
}

private object Unknown : Phone {
    override fun health() = Health(0.0)

    override fun peakMb(): Double? = null
}

private fun runtimeOf(bundle: Bundle): Runtime {
    val manifest = bundle.manifest
    if (manifest.target == "tflite") return LiteRtHost(bundle.artifact)
    return ExecuTorchHost(bundle.artifact, manifest.methods.takeLast(1), manifest.input.shape) // as on x86
}

/**
 * LIBRARY CACHE BUNDLE WIDTH HEIGHT RGB...: open a bundle, run it on its golden pictures and on one picture that is raw bytes, and
 * measure a little. Prints the logits of the golden pictures, the likeliest classes of the other, and the benchmark's verdict.
 */
fun main(args: Array<String>) {
    System.load(args[0])
    val bundle = Bundle.open(FolderSource(File(args[2])), File(args[1]))
    val manifest = bundle.manifest
    val logits =
        runtimeOf(bundle).use { runtime ->
            val (input, output) = manifest.input.buffer() to manifest.output.buffer()
            bundle.golden.pictures.map { pixels ->
                manifest.fill(input, pixels)
                runtime.run(input, output)
                manifest.output.floats(output)
            }
        }
    val picture = Picture(args[3].toInt(), args[4].toInt(), File(args[5]).readBytes())
    val scores = BundleClassifier(manifest, runtimeOf(bundle)).use { it.classify(picture, 3).scores }
    val run = Benchmark(bundle, Settings(minRuns = 20, minS = 0.0), Unknown).run({ runtimeOf(bundle) })
    val told =
        mapOf(
            "logits" to logits,
            "top" to scores.map { mapOf("label" to it.label, "probability" to it.probability) },
            "runs" to run.samplesMs.size,
            "wrong" to !run.parity.passed
        )
    println(Json.of(told).write())
}
