package org.levitmobile.core

import java.io.File
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class BenchmarkTest {
    @get:Rule
    val temporary = TemporaryFolder()
    private val made by lazy { MadeUp(File(temporary.root, "levit_128s-int8-tflite")) }
    private val bundle by lazy { Bundle.open(made.write(), File(temporary.root, "cache")) }
    private var now = 0L // nanoseconds of a clock that only inferences move
    private val events = mutableListOf<String>()

    private inner class Answering(private val ms: (Int) -> Double = { 10.0 }, private val logits: FloatArray = made.logits[0]) :
        Runtime {
        override val name = "LiteRT"
        override val version = "2.3.2"
        private var runs = 0

        override fun run(input: ByteBuffer, output: ByteBuffer) {
            now += (1e6 * ms(runs++)).toLong()
            output.clear()
            logits.forEach(output::putFloat)
        }

        override fun close() {
            events += "closed"
        }
    }

    private class Cool(private val readings: List<Health> = listOf(Health(0.0, thermalStatus = 0))) : Phone {
        private var asked = 0

        override fun health() = readings[minOf(asked++, readings.size - 1)]

        override fun peakMb() = 100.0 + asked
    }

    private fun benchmark(
        settings: Settings = Settings(minRuns = 20, minS = 0.0, warmupRuns = 3, warmupS = 0.0),
        phone: Phone = Cool()
    ) = Benchmark(bundle, settings, phone) { now }

    @Test
    fun warmUpIsNotCounted() {
        val run = benchmark().run({
            Answering({ n ->
                if (n == 0) {
                    50.0
                } else if (n < 4) {
                    30.0
                } else {
                    10.0
                }
            })
        })
        assertEquals(50.0, run.firstMs, 0.0)
        assertEquals(List(20) { 10.0 }, run.samplesMs)
        assertEquals(10.0, run.summary!!.p50, 0.0)
        assertEquals("LiteRT" to "2.3.2", run.runtime)
        assertTrue(run.complete)
        assertEquals(emptyList<String>(), run.invalid)
        assertEquals(listOf("closed"), events)
    }

    @Test
    fun runsUntilThereIsTimeEnough() {
        val settings = Settings(minRuns = 5, minS = 3.0, warmupRuns = 0, warmupS = 1.0)
        assertEquals(300, benchmark(settings).run({ Answering() }).samplesMs.size)
    }

    @Test
    fun endsInAnyCase() {
        val run = benchmark(Settings(minRuns = 1000, minS = 0.0, warmupRuns = 1, maxS = 2.0)).run({ Answering({ 100.0 }) })
        assertEquals(21, run.samplesMs.size)
        assertEquals("21 inferences took 2 s, and 1000 were asked for; ask for fewer", run.invalid.single())
    }

    @Test
    fun loadingIsTimed() {
        val run =
            benchmark().run({
                now += 12_000_000
                Answering()
            })
        assertEquals(12.0, run.loadMs, 0.0)
        assertEquals(101.0, run.beforeMb!!, 0.0)
        assertEquals(102.0, run.peakMb!!, 0.0)
    }

    @Test
    fun progressIsTold() {
        val told = mutableListOf<Pair<Int, Double>>()
        benchmark(Settings(minRuns = 5, minS = 3.5, warmupRuns = 0, warmupS = 0.0)).run({ Answering() }, { n, ms ->
            told +=
                n to ms
        })
        assertEquals(listOf(101 to 10.0, 202 to 10.0, 303 to 10.0), told)
    }

    @Test
    fun whatWasStoppedIsKeptAndNotComplete() {
        var left = 12
        val run = benchmark().run({ Answering() }, stopped = { left-- <= 0 })
        assertFalse(run.complete)
        assertEquals(9, run.samplesMs.size)
        assertEquals(listOf("closed"), events)
    }

    @Test
    fun aRuntimeThatDoesNotLoad() {
        val error = assertThrows(RuntimeFailure::class.java) { benchmark().run({ throw RuntimeFailure("no") }) }
        assertEquals("no", error.message)
    }

    @Test
    fun aRuntimeThatFailsIsClosed() {
        val broken = Answering({ n -> if (n < 5) 1.0 else throw IllegalStateException("broken") })
        assertThrows(IllegalStateException::class.java) { benchmark().run({ broken }) }
        assertEquals(listOf("closed"), events)
    }

    @Test
    fun aWrongAnswer() {
        val run = benchmark().run({ Answering(logits = floatArrayOf(-2f, 1f, 0.5f)) })
        assertFalse(run.parity.passed)
        assertTrue(run.invalid.single().startsWith("the answer to the golden picture is wrong there: difference 1.0e+00 "))
    }

    @Test
    fun whatThePhoneTells() {
        val bad = Health(1.0, 41.5, 1800, thermalStatus = 2, powerSaving = true, inFront = false)
        val run = benchmark(phone = Cool(listOf(Health(0.0), bad))).run({ Answering() })
        assertEquals(
            listOf(
                "the phone was throttled: thermal status 2 of 6; let it cool down",
                "the battery saver was on; switch it off, or charge the phone",
                "the app was not in front all the time, and the system slows what is not"
            ),
            run.invalid
        )
    }

    @Test
    fun drift() {
        val settings = Settings(minRuns = 120, minS = 0.0, warmupRuns = 0, warmupS = 0.0)
        val run = benchmark(settings).run({ Answering({ n -> 10.0 + n * 0.05 + (n * 7 % 5) * 0.01 }) })
        assertTrue(run.drift!!.drifted)
        assertTrue(run.invalid.single().startsWith("it drifted: the last third took 1."))
    }

    /** What `levit report` reads; the test of the toolkit that starts this one reads the file. */
    @Test
    fun results() {
        val health = listOf(Health(0.0, 30.1, 1800, 0), Health(1.2, 30.4, 1800, 0))
        val run = benchmark(phone = Cool(health)).run({ Answering({ n -> 10 + 0.01 * (n % 7) }) })
        val facts = mapOf("model" to "Phone 1", "cores" to 8, "features" to listOf("asimddp"), "governor" to null)
        val text = Results.json(listOf(run), "2026-01-02T03:04:05+00:00", "levit-mobile android_demo 0.1.0", "phone", facts)
        System.getProperty("levit.results")?.let { File(it).writeText(text) }
        val json = Json.parse(text)
        assertEquals("levit-bench", json["kind"].string)
        assertEquals(1, json["format"].int)
        assertEquals("android", json["runs", 0, "where", "kind"].string)
        assertEquals("Phone 1", json["runs", 0, "where", "facts", "model"].string)
        assertEquals(run.samplesMs, json["runs", 0, "samples_ms"].items.map(Json::double))
        assertEquals(1000, json["runs", 0, "artifact", "bytes"].int)
        assertEquals(0, json["runs", 0, "health", 0, "throttled"].int)
        assertEquals(4, Health(0.0, thermalStatus = 1).json()["throttled"].int)
        assertEquals(Json.Null, Health(0.0).json()["throttled"])
        assertEquals(Json.Bool(false), json["runs", 0, "wrong"])
    }

    @Test
    fun classifying() {
        val classifier = BundleClassifier(bundle.manifest, Answering())
        val answer = classifier.use { it.classify(Picture(40, 30, ByteArray(3600)), 2) }
        assertEquals(listOf("tench", "gas pump"), answer.scores.map { it.label })
        assertTrue(answer.prepareMs > 0)
        assertTrue(answer.inferenceMs >= 0)
        assertEquals(listOf("closed"), events)
    }
}
