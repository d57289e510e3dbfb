package org.levitmobile.core

import java.util.Locale

/** How much to measure; the same parts and defaults as `levit bench`. */
data class Settings(
    val threads: Int = 1,
    val warmupRuns: Int = 10,
    val warmupS: Double = 0.5,
    val minRuns: Int = 100,
    val minS: Double = 3.0,
    val maxS: Double = 600.0
) {
    fun json(): Json = Json.of(
        mapOf(
            "threads" to listOf(threads),
            "warmup_runs" to warmupRuns,
            "warmup_s" to warmupS,
            "min_runs" to minRuns,
            "min_s" to minS,
            "max_s" to maxS
        )
    )
}

/**
 * How the phone is, [seconds] after the start; null of what it does not tell.
 *
 * @property temperature of the battery, in degrees Celsius: apps are not told of the processor's
 * @property thermalStatus 0 (none) to 6 (shutdown), as `PowerManager` has it from Android 10 on
 * @property inFront whether the app is what the user sees; the system gives others the slow cores
 */
data class Health(
    val seconds: Double,
    val temperature: Double? = null,
    val mhz: Int? = null,
    val thermalStatus: Int? = null,
    val powerSaving: Boolean = false,
    val inFront: Boolean = true
) {
    fun json(): Json = Json.of(
        mapOf(
            "seconds" to seconds.rounded(2),
            "temperature_c" to temperature,
            "mhz" to mhz,
            // The flag that reports know: "it is throttled".
            "throttled" to thermalStatus?.let { if (it > 0) THROTTLED else 0 },
            "thermal_status" to thermalStatus,
            "power_saving" to powerSaving,
            "in_front" to inFront
        )
    )

    private companion object {
        const val THROTTLED = 4
    }
}

/** What a benchmark asks of the phone. */
interface Phone {
    /** Seconds count from the first call on. */
    fun health(): Health

    /** The most memory that this process has had, in MB; null where the system does not tell. */
    fun peakMb(): Double?
}

/** What one benchmark found. [invalid] are reasons not to believe its times. */
class BenchmarkRun(
    val manifest: Manifest,
    val bundle: String,
    val runtime: Pair<String, String>,
    val settings: Settings,
    val loadMs: Double,
    val firstMs: Double,
    val samplesMs: List<Double>,
    val beforeMb: Double?,
    val peakMb: Double?,
    val health: List<Health>,
    val parity: Parity,
    val complete: Boolean
) {
    val summary: Summary? = if (samplesMs.isEmpty()) null else Summary.of(samplesMs)
    val drift: Drift? = Drift.of(samplesMs)
    val invalid: List<String> = doubts()

    private fun doubts(): List<String> = buildList {
        val hottest = health.mapNotNull { it.thermalStatus }.maxOrNull() ?: 0
        if (hottest > 0) add("the phone was throttled: thermal status $hottest of 6; let it cool down")
        if (health.any { it.powerSaving }) add("the battery saver was on; switch it off, or charge the phone")
        if (health.any { !it.inFront }) add("the app was not in front all the time, and the system slows what is not")
        if (complete && samplesMs.size < settings.minRuns) {
            add(
                "${samplesMs.size} inferences took ${settings.maxS.toInt()} s, and ${settings.minRuns} were asked for; " +
                    "ask for fewer"
            )
        }
        if (!parity.passed) {
            add(
                "the answer to the golden picture is wrong there: difference %.1e of the logit range, cosine %.4f"
                    .format(Locale.ROOT, parity.maxAbs, parity.cosine)
            )
        }
        drift?.takeIf { it.drifted }?.let {
            add("it drifted: the last third took %.2f times as long as the first".format(Locale.ROOT, it.ratio))
        }
    }
}

/**
 * Latency of a bundle on its first golden picture: load, first inference, warm-up, then inferences one by one until there
 * were so many and so long. The last answer is compared with PyTorch's: a fast wrong answer is worth nothing.
 */
class Benchmark(
    private val bundle: Bundle,
    private val settings: Settings,
    private val phone: Phone,
    private val nanos: () -> Long = System::nanoTime
) {
    /**
     * @param open loads the artifact; what it gives is closed
     * @param progress inferences so far, and their median; about once a second
     * @param stopped asked before each inference; what was measured until then is kept, as not complete
     */
    fun run(
        open: () -> Runtime,
        progress: (count: Int, medianMs: Double) -> Unit = { _, _ -> },
        stopped: () -> Boolean = { false }
    ): BenchmarkRun {
        val manifest = bundle.manifest
        val health = mutableListOf(phone.health())
        val before = phone.peakMb()
        val start = nanos()
        open().use { runtime ->
            val loaded = nanos()
            val input = manifest.input.buffer().also { manifest.fill(it, bundle.golden.pictures[0]) }
            val output = manifest.output.buffer()

            fun timed(): Double {
                val begun = nanos()
                runtime.run(input, output)
                return (nanos() - begun) / 1e6
            }
            val first = timed()
            repeatFor(settings.warmupRuns, settings.warmupS, stopped) { timed() }
            val samples = ArrayList<Double>()
            var told = nanos()
            repeatFor(settings.minRuns, settings.minS, stopped) {
                samples += timed()
                if (nanos() - told > SECOND) {
                    health += phone.health()
                    progress(samples.size, median(samples))
                    told = nanos()
                }
            }
            val complete = !stopped()
            health += phone.health()
            return BenchmarkRun(
                manifest = manifest,
                bundle = bundle.name,
                runtime = runtime.name to runtime.version,
                settings = settings,
                loadMs = (loaded - start) / 1e6,
                firstMs = first,
                samplesMs = samples,
                beforeMb = before,
                peakMb = phone.peakMb(),
                health = health,
                parity = Parity.of(bundle.golden.logits[0], manifest.output.floats(output), manifest),
                complete = complete
            )
        }
    }

    private fun repeatFor(runs: Int, seconds: Double, stopped: () -> Boolean, once: () -> Unit) {
        val start = nanos()
        var done = 0
        while (done < runs || nanos() - start < seconds * SECOND) {
            if (stopped() || nanos() - start > settings.maxS * SECOND) return
            once()
            done++
        }
    }

    private companion object {
        const val SECOND = 1_000_000_000L
    }
}
