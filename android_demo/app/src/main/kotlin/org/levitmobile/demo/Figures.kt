package org.levitmobile.demo

import android.content.Context
import org.levitmobile.core.BenchmarkRun

/** The rows of the benchmark's table: the name's resource, and the value as people read it. */
internal fun figuresOf(context: Context, run: BenchmarkRun): List<Pair<Int, String>> {
    val unknown = context.getString(R.string.unknown)

    fun ms(value: Double?) = value?.let { context.getString(R.string.milliseconds, it) } ?: unknown
    val summary = run.summary
    val peak = run.peakMb
    val before = run.beforeMb
    val memory =
        when {
            peak == null -> unknown
            before == null -> context.getString(R.string.megabytes, peak)
            else -> context.getString(R.string.megabytes_of, peak, before)
        }
    val hottest = run.health.mapNotNull { it.thermalStatus }.maxOrNull()
    val thermal = hottest?.let { context.resources.getStringArray(R.array.thermal).getOrNull(it) } ?: unknown
    return listOf(
        R.string.figure_p50 to ms(summary?.p50),
        R.string.figure_p90 to ms(summary?.p90),
        R.string.figure_p99 to ms(summary?.p99),
        R.string.figure_min to ms(summary?.min),
        R.string.figure_count to run.samplesMs.size.toString(),
        R.string.figure_load to ms(run.loadMs),
        R.string.figure_first to ms(run.firstMs),
        R.string.figure_memory to memory,
        R.string.figure_thermal to thermal
    )
}
