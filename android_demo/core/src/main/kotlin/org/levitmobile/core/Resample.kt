package org.levitmobile.core

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/**
 * One direction of a resize, as Pillow computes it: bicubic (a = -0.5), the filter as wide as the picture is scaled down,
 * coefficients in float64, then rounded to [BITS] bits after the point.
 *
 * Output pixel i is the sum of [counts]\[i] input pixels from [starts]\[i] on, times [weights]\[i]. Input pixels outside of
 * [first] until [end] are not needed.
 */
internal class Axis private constructor(private val starts: IntArray, private val weights: Array<IntArray>) {
    val size: Int get() = starts.size
    val first: Int = starts.min()
    val end: Int = starts.indices.maxOf { starts[it] + weights[it].size }

    /** For a picture that begins at [first]. */
    fun shifted(): Axis = Axis(IntArray(size) { starts[it] - first }, weights)

    /** One channel of one output pixel; [at] is where the input's pixel 0 lies, [step] how far the next one is. */
    fun level(index: Int, bytes: ByteArray, at: Int, step: Int): Byte {
        var sum = 1 shl (BITS - 1)
        var from = at + starts[index] * step
        for (weight in weights[index]) {
            sum += weight * (bytes[from].toInt() and 255)
            from += step
        }
        return (sum shr BITS).coerceIn(0, 255).toByte()
    }

    companion object {
        private const val BITS = 22
        private const val REACH = 2.0

        /** Output pixels [from] until [from] + [count] of [old] pixels that become [new]. */
        fun part(old: Int, new: Int, from: Int, count: Int): Axis = of(old, 0f, old.toFloat(), new, from, count)

        /** The same pixels, but of a picture that is cut before it is resized: whole, it would be very long. */
        fun middle(old: Int, new: Int, from: Int, count: Int): Axis {
            val ratio = old.toDouble() / new
            val (start, stop) = from * ratio to (from + count) * ratio
            val reach = REACH * max(ratio, 1.0) + 1
            val low = max(0, floor(start - reach).toInt())
            val high = min(old, ceil(stop + reach).toInt())
            val left = (start - low).toFloat() // Pillow's box is of float32
            val right = (min(stop, old.toDouble()) - low).toFloat()
            val cut = of(high - low, left, right, count, 0, count)
            return Axis(IntArray(count) { cut.starts[it] + low }, cut.weights)
        }

        private fun of(old: Int, left: Float, right: Float, new: Int, from: Int, count: Int): Axis {
            val scale = (right - left).toDouble() / new
            val filterScale = max(scale, 1.0)
            val support = REACH * filterScale
            val starts = IntArray(count)
            val weights =
                Array(count) { index ->
                    val centre = left + (from + index + 0.5) * scale
                    val start = max(0, (centre - support + 0.5).toInt())
                    val stop = min(old, (centre + support + 0.5).toInt())
                    starts[index] = start
                    val exact = DoubleArray(stop - start) { bicubic((it + start - centre + 0.5) * (1.0 / filterScale)) }
                    val sum = exact.sum()
                    IntArray(exact.size) { fixed(if (sum == 0.0) exact[it] else exact[it] / sum) }
                }
            return Axis(starts, weights)
        }

        private fun fixed(weight: Double): Int {
            val scaled = weight * (1 shl BITS)
            return (if (weight < 0) scaled - 0.5 else scaled + 0.5).toInt()
        }

        private fun bicubic(distance: Double): Double {
            val a = -0.5
            val x = abs(distance)
            return when {
                x < 1 -> ((a + 2) * x - (a + 3)) * x * x + 1
                x < 2 -> (((x - 5) * x + 8) * x - 4) * a
                else -> 0.0
            }
        }
    }
}

/** The rows [rows] of a picture, each resized along [axis]. */
internal fun resampleAcross(picture: Picture, axis: Axis, rows: IntRange): Picture {
    val out = ByteArray(3 * axis.size * rows.count())
    var to = 0
    for (y in rows) {
        for (x in 0 until axis.size) {
            for (channel in 0..2) out[to++] = axis.level(x, picture.bytes, 3 * y * picture.width + channel, 3)
        }
    }
    return Picture(axis.size, rows.count(), out)
}

/** The columns [columns] of a picture, each resized along [axis]. */
internal fun resampleDown(picture: Picture, axis: Axis, columns: IntRange): Picture {
    val out = ByteArray(3 * axis.size * columns.count())
    var to = 0
    for (y in 0 until axis.size) {
        for (x in columns) {
            for (channel in 0..2) out[to++] = axis.level(y, picture.bytes, 3 * x + channel, 3 * picture.width)
        }
    }
    return Picture(columns.count(), axis.size, out)
}
