package org.levitmobile.core

import java.nio.ByteBuffer

/** Runs one artifact. Used from one thread at a time. */
interface Runtime : AutoCloseable {
    /** As results name it, with the accelerator if that is not the processor: `LiteRT`, `LiteRT (gpu)`, `ExecuTorch`. */
    val name: String

    /** What the app was built with. */
    val version: String

    /** One inference. Both are direct buffers of the manifest's size, see [buffer]; [output] is overwritten. */
    fun run(input: ByteBuffer, output: ByteBuffer)
}

/** A runtime that is not in the app, does not know the accelerator, or refuses the artifact; the message says why. */
class RuntimeFailure(message: String, cause: Throwable? = null) : Exception(message, cause)

/** The likeliest classes of a picture, and what it took: [prepareMs] from picture to input, [inferenceMs] from there on. */
class Answer(val scores: List<Score>, val prepareMs: Double, val inferenceMs: Double)

/** Tells what is in a picture. */
interface Classifier : AutoCloseable {
    fun classify(picture: Picture, top: Int): Answer
}

/** The artifact of a [Manifest], run by a [Runtime] that this closes. */
class BundleClassifier(private val manifest: Manifest, private val runtime: Runtime) : Classifier {
    private val input = manifest.input.buffer()
    private val output = manifest.output.buffer()

    override fun classify(picture: Picture, top: Int): Answer {
        val start = System.nanoTime()
        manifest.fill(input, manifest.preprocessing.resizeAndCrop(picture))
        val ready = System.nanoTime()
        runtime.run(input, output)
        val end = System.nanoTime()
        val scores = topK(manifest.output.floats(output), manifest.labels, top)
        return Answer(scores, (ready - start) / 1e6, (end - ready) / 1e6)
    }

    override fun close() = runtime.close()
}
