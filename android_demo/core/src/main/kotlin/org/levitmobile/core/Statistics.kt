package org.levitmobile.core

import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow
import kotlin.math.roundToLong
import kotlin.math.sqrt

/**
 * Latency in milliseconds of [count] inferences; [cv] is standard deviation over mean.
 *
 * The same definitions as `levit_mobile/bench/statistics.py`: percentiles are interpolated, the deviation is the population's.
 */
data class Summary(
    val count: Int,
    val p50: Double,
    val p90: Double,
    val p99: Double,
    val min: Double,
    val mean: Double,
    val cv: Double
) {
    fun json(): Json = Json.of(
        mapOf(
            "count" to count,
            "p50" to p50.rounded(6),
            "p90" to p90.rounded(6),
            "p99" to p99.rounded(6),
            "min" to min.rounded(6),
            "mean" to mean.rounded(6),
            "cv" to cv.rounded(6)
        )
    )

    companion object {
        /** Of at least one sample. */
        fun of(ms: List<Double>): Summary {
            val sorted = ms.sorted()
            val mean = ms.sum() / ms.size
            val deviation = sqrt(ms.sumOf { (it - mean) * (it - mean) } / ms.size)
            val (p50, p90, p99) = listOf(0.5, 0.9, 0.99).map { quantile(sorted, it) }
            return Summary(ms.size, p50, p90, p99, sorted.first(), mean, deviation / mean)
        }
    }
}

/** Whether the last third of a run was slower than the first: [ratio] of the medians, [p] the chance of that without drift. */
data class Drift(val ratio: Double, val p: Double, val drifted: Boolean) {
    fun json(): Json = Json.of(mapOf("ratio" to ratio.rounded(4), "p" to p.rounded(4), "drifted" to drifted))

    companion object {
        private const val BLOCKS = 10 // that a third is cut into: neighbours in time are not independent
        private const val CERTAIN = 0.01
        private const val MATTERS = 0.03

        /** Null where there are fewer than five blocks of three samples in each third: nothing could be certain. */
        fun of(ms: List<Double>): Drift? {
            val third = ms.size / 3
            val blocks = min(BLOCKS, third / 3)
            if (blocks < 5) return null
            val (first, last) = ms.take(third) to ms.takeLast(third)
            val ratio = median(last) / median(first)
            val p = mannWhitney(split(first, blocks).map(::median), split(last, blocks).map(::median))
            return Drift(ratio, p, p < CERTAIN && abs(ratio - 1) > MATTERS)
        }

        /** As `numpy.array_split`: the first ones are one longer where it does not come out even. */
        private fun split(ms: List<Double>, parts: Int): List<List<Double>> {
            var from = 0
            return List(parts) { index ->
                val length = ms.size / parts + if (index < ms.size % parts) 1 else 0
                ms.subList(from, from + length).also { from += length }
            }
        }
    }
}

fun median(ms: List<Double>): Double = quantile(ms.sorted(), 0.5)

private fun quantile(sorted: List<Double>, share: Double): Double {
    val place = share * (sorted.size - 1)
    val below = floor(place).toInt()
    val above = min(below + 1, sorted.size - 1)
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below)
}

internal fun Double.rounded(digits: Int): Double = 10.0.pow(digits).let { (this * it).roundToLong() / it }

/**
 * The two-sided p of Mann and Whitney's test, as `scipy.stats.mannwhitneyu` chooses: exact for up to 8 values a side without
 * ties, else by the normal distribution with the correction for ties and for continuity.
 */
internal fun mannWhitney(a: List<Double>, b: List<Double>): Double {
    val (n, m) = a.size to b.size
    val wins = a.sumOf { x ->
        b.sumOf { y ->
            if (x > y) {
                1.0
            } else if (x == y) {
                0.5
            } else {
                0.0
            }
        }
    }
    val u = max(wins, n * m - wins)
    val ties = (a + b).groupingBy { it }.eachCount().values
    if (min(n, m) <= 8 && ties.all { it == 1 }) return min(1.0, 2 * atLeast(u.toInt(), n, m))
    val all = (n + m).toDouble()
    val tied = ties.sumOf { it.toDouble().pow(3) - it }
    val deviation = sqrt(n * m / 12.0 * (all + 1 - tied / (all * (all - 1))))
    if (deviation == 0.0) return 1.0
    val z = (u - n * m / 2.0 - 0.5) / deviation
    return (erfc(z / sqrt(2.0))).coerceIn(0.0, 1.0)
}

/** The chance that U is [u] or more, by counting: each order of n + m different values is as likely as any other. */
private fun atLeast(u: Int, n: Int, m: Int): Double {
    // ways[i][j][k]: orders of i and j values in which the first kind wins k times.
    val ways = Array(n + 1) { i -> Array(m + 1) { j -> DoubleArray(i * j + 1) } }
    for (i in 0..n) {
        for (j in 0..m) {
            for (k in 0..i * j) {
                val greatest = if (i == 0 || k < j) 0.0 else ways[i - 1][j].getOrElse(k - j) { 0.0 }
                val other = if (j == 0) 0.0 else ways[i][j - 1].getOrElse(k) { 0.0 }
                ways[i][j][k] = if (i == 0 || j == 0) 1.0 else greatest + other
            }
        }
    }
    val counts = ways[n][m]
    return counts.drop(u).sum() / counts.sum()
}

/** The complementary error function, to 1.2e-7 of itself: a Chebyshev fit. */
internal fun erfc(x: Double): Double {
    val t = 1 / (1 + abs(x) / 2)
    val terms =
        doubleArrayOf(
            -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806,
            0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277
        )
    val sum = terms.foldRight(0.0) { term, above -> term + t * above }
    val tail = t * exp(-x * x + sum)
    return if (x >= 0) tail else 2 - tail
}
