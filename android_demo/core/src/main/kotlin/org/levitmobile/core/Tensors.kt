package org.levitmobile.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.exp

/** Memory that native code reads and writes without a copy. */
fun Port.buffer(): ByteBuffer = ByteBuffer.allocateDirect(count * dtype.bytes).order(ByteOrder.nativeOrder())

/**
 * The model's input, of a picture that was resized and cropped: in the manifest's order of dimensions and its number format.
 *
 * A model that takes `pixels` normalises them itself: it gets levels from 0 to 255. Where the input is of whole numbers, they
 * are what the manifest's scale and zero point make of that.
 */
fun Manifest.fill(buffer: ByteBuffer, pixels: Picture) {
    val side = preprocessing.crop
    require(pixels.width == side && pixels.height == side) { "${pixels.width} x ${pixels.height}, not $side x $side" }
    buffer.clear()
    val area = side * side
    if (channelsFirst) {
        for (channel in 0..2) for (pixel in 0 until area) put(buffer, pixels, 3 * pixel + channel, channel)
    } else {
        for (pixel in 0 until area) for (channel in 0..2) put(buffer, pixels, 3 * pixel + channel, channel)
    }
    buffer.flip()
}

private fun Manifest.put(buffer: ByteBuffer, pixels: Picture, at: Int, channel: Int) {
    val level = pixels.bytes[at].toInt() and 255
    val value = if (takes == Takes.PIXELS) level.toFloat() else preprocessing.levels[channel][level]
    if (input.dtype == DType.FLOAT32) buffer.putFloat(value) else buffer.put(input.whole(value))
}

private fun Port.whole(value: Float): Byte {
    val (low, high) = if (dtype == DType.INT8) -128 to 127 else 0 to 255
    return (Math.rint(value / scale).toInt() + zeroPoint).coerceIn(low, high).toByte()
}

/** The model's output as floats; whole numbers become `scale * (q - zeroPoint)`. */
fun Port.floats(buffer: ByteBuffer): FloatArray {
    buffer.rewind()
    return FloatArray(count) {
        when (dtype) {
            DType.FLOAT32 -> buffer.float
            DType.INT8 -> ((buffer.get() - zeroPoint) * scale).toFloat()
            DType.UINT8 -> (((buffer.get().toInt() and 255) - zeroPoint) * scale).toFloat()
        }
    }
}

/** One of the likeliest classes. */
data class Score(val index: Int, val label: String, val probability: Double)

/** The [k] likeliest, likeliest first; of equals the one with the lower number. Softmax in float64. */
fun topK(logits: FloatArray, labels: List<String>, k: Int): List<Score> {
    require(logits.size == labels.size) { "${logits.size} logits for ${labels.size} labels" }
    val greatest = logits.max().toDouble()
    val shares = DoubleArray(logits.size) { exp(logits[it] - greatest) }
    val sum = shares.sum()
    return logits.indices
        .sortedByDescending { logits[it] }
        .take(k)
        .map { Score(it, labels[it], shares[it] / sum) }
}
