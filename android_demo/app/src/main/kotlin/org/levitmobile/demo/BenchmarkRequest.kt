package org.levitmobile.demo

import android.content.Intent
import org.levitmobile.core.Settings

/**
 * What is to be measured, as an intent has it: from the main screen, or from `levit bench --android`, which starts this by
 * adb and waits for a file.
 *
 * @property bundle a name of [BundleStore], or the path of a folder
 * @property id of the file that the results go to; null: the user looks at them
 */
internal data class BenchmarkRequest(val bundle: String, val accelerator: Accelerator, val settings: Settings, val id: String?) {
    fun into(intent: Intent): Intent = intent
        .putExtra(BUNDLE, bundle)
        .putExtra(ACCELERATOR, accelerator.id)
        .putExtra(THREADS, settings.threads)

    companion object {
        private const val BUNDLE = "bundle"
        private const val ACCELERATOR = "accelerator"
        private const val THREADS = "threads"
        private const val WARMUP_RUNS = "warmup_runs"
        private const val MIN_RUNS = "min_runs"
        private const val MIN_S = "min_s"
        private const val MAX_S = "max_s"
        private const val ID = "id"
        private val IDS = Regex("[A-Za-z0-9-]{1,64}") // it becomes the name of a file

        /** Null: no bundle is named. */
        fun of(intent: Intent): BenchmarkRequest? {
            val bundle = intent.getStringExtra(BUNDLE) ?: return null
            val accelerator = Accelerator.entries.find { it.id == intent.getStringExtra(ACCELERATOR) } ?: Accelerator.CPU
            val usual = Settings()
            val settings =
                usual.copy(
                    threads = intent.getIntExtra(THREADS, usual.threads).coerceAtLeast(1),
                    warmupRuns = intent.getIntExtra(WARMUP_RUNS, usual.warmupRuns),
                    minRuns = intent.getIntExtra(MIN_RUNS, usual.minRuns),
                    minS = intent.getFloatExtra(MIN_S, usual.minS.toFloat()).toDouble(),
                    maxS = intent.getFloatExtra(MAX_S, usual.maxS.toFloat()).toDouble()
                )
            return BenchmarkRequest(bundle, accelerator, settings, intent.getStringExtra(ID)?.takeIf(IDS::matches))
        }
    }
}
