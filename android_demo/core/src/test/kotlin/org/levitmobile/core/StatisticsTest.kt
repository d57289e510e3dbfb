package org.levitmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Beside what NumPy and SciPy make of the same samples: `statistics.json`, which `tools/statistics_vectors.py` writes. */
class StatisticsTest {
    private val cases =
        Json.parse(javaClass.getResource("/statistics.json")!!.readText()).items.map { case ->
            case["samples_ms"].items.map(Json::double) to case
        }

    @Test
    fun summaries() {
        assertTrue(cases.size >= 10)
        for ((samples, case) in cases) {
            val summary = Summary.of(samples).json() as Json.Obj
            for ((key, value) in (case["summary"] as Json.Obj).entries) {
                assertEquals(
                    key,
                    value.double,
                    summary[key].double,
                    1.1e-6
                )
            }
        }
    }

    @Test
    fun drifts() {
        for ((samples, case) in cases) {
            val drift = Drift.of(samples)
            if (case["drift"] == Json.Null) {
                assertEquals(null, drift)
            } else {
                assertEquals(case["drift", "ratio"].double, drift!!.ratio, 1.1e-4)
                assertEquals(case["drift", "p"].double, drift.p, 1.1e-4)
                assertEquals(case["drift", "drifted"], Json.Bool(drift.drifted))
            }
        }
        assertEquals(setOf(true, false, null), cases.map { (samples, _) -> Drift.of(samples)?.drifted }.toSet())
    }

    @Test
    fun allAlike() {
        val drift = Drift.of(List(60) { 2.0 })!!
        assertEquals(1.0, drift.p, 0.0)
        assertEquals(0.0, Summary.of(listOf(3.0)).cv, 0.0)
    }

    /** Values of a table of the complementary error function. */
    @Test
    fun errorFunction() {
        val table = mapOf(0.0 to 1.0, 0.5 to 0.4795001222, 1.0 to 0.1572992070, 2.0 to 0.0046777350, -1.0 to 1.8427007929)
        for ((x, wanted) in table) assertEquals(wanted, erfc(x), 1.3e-7 * wanted)
    }
}
