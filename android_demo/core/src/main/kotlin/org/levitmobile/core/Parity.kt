package org.levitmobile.core

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.sqrt

/**
 * How far logits are from PyTorch's: [maxAbs] is the greatest difference as a share of the reference's range, [cosine] that
 * of both with their means taken off. A class counts as the same if PyTorch holds it within the tolerance of its own first.
 *
 * The same as `compare` in `levit_mobile/evaluate.py`, for one picture.
 */
data class Parity(val maxAbs: Double, val cosine: Double, val passed: Boolean) {
    companion object {
        // precision -> greatest difference, least cosine: the table of docs/bundle.md
        internal val TOLERANCES =
            mapOf(
                "fp32" to (1e-4 to 0.999999),
                "fp16" to (1e-2 to 0.9999),
                "int8" to (0.15 to 0.98),
                "int8-weights" to (0.05 to 0.99),
                "palettised-4bit" to (0.15 to 0.98),
                "int8-dynamic" to (0.15 to 0.98)
            )

        /** @throws BundleException if the manifest has a precision that this app does not know */
        fun of(reference: FloatArray, got: FloatArray, manifest: Manifest): Parity {
            val row = if (manifest.output.dtype == DType.FLOAT32) manifest.precision else "int8"
            val (most, least) =
                TOLERANCES[row] ?: throw BundleException("${Manifest.NAME} has an unknown precision: $row")
            return of(reference, got, most, least)
        }

        internal fun of(reference: FloatArray, got: FloatArray, most: Double, least: Double): Parity {
            require(reference.size == got.size) { "${got.size} logits, expected ${reference.size}" }
            if ((reference + got).any { !it.isFinite() }) return Parity(Double.POSITIVE_INFINITY, 0.0, false)
            val greatest = reference.max().toDouble()
            val span = max(greatest - reference.min(), 1e-12)
            val maxAbs = reference.indices.maxOf { abs(reference[it].toDouble() - got[it]) } / span
            val cosine = cosine(reference, got)
            val first = got.indices.maxBy { got[it] }
            val fair = greatest - reference[first] <= most * span
            return Parity(maxAbs, cosine, maxAbs <= most && cosine >= least && fair)
        }

        private fun cosine(reference: FloatArray, got: FloatArray): Double {
            val (a, b) = listOf(reference, got).map { row -> row.average().let { mean -> row.map { it - mean } } }
            val (normA, normB) = listOf(a, b).map { row -> sqrt(row.sumOf { it * it }) }
            if (max(normA, normB) <= 1e-12 * reference.maxOf { abs(it) }) return 1.0 // all alike in both
            return if (normA * normB > 0) a.indices.sumOf { a[it] * b[it] } / (normA * normB) else 0.0
        }
    }
}
