package org.levitmobile.core

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ParityTest {
    private val reference = floatArrayOf(4f, 0f, -4f)

    private fun parity(vararg got: Float, most: Double = 0.1, least: Double = 0.98) = Parity.of(reference, got, most, least)

    @Test
    fun theSame() {
        val same = parity(4f, 0f, -4f)
        assertEquals(0.0, same.maxAbs, 0.0)
        assertEquals(1.0, same.cosine, 1e-15)
        assertTrue(same.passed)
    }

    @Test
    fun differencesAreSharesOfTheRange() {
        val near = parity(4.4f, 0f, -4f)
        assertEquals(0.05, near.maxAbs, 1e-6)
        assertTrue(near.passed)
        assertFalse(parity(4.9f, 0f, -4f).passed)
    }

    @Test
    fun anotherDirection() {
        val turned = parity(4f, 2f, -4f, most = 1.0)
        assertEquals(0.960769, turned.cosine, 1e-6)
        assertFalse(turned.passed)
        assertEquals(0.0, parity(1f, 1f, 1f).cosine, 0.0)
    }

    @Test
    fun anotherFirstClass() {
        val tossUp = Parity.of(floatArrayOf(1f, 0.95f, -4f), floatArrayOf(0.95f, 1f, -4f), 0.1, 0.9)
        assertTrue(tossUp.passed)
        val another = Parity.of(floatArrayOf(4f, 1f, 0f), floatArrayOf(2.4f, 2.5f, 0f), 0.45, -1.0)
        assertEquals(0.4, another.maxAbs, 1e-6)
        assertFalse(another.passed)
    }

    @Test
    fun numbersThatAreNone() {
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY)) {
            assertEquals(Parity(Double.POSITIVE_INFINITY, 0.0, false), parity(4f, bad, -4f))
        }
    }

    @Test
    fun anotherNumberOfClasses() {
        assertThrows(IllegalArgumentException::class.java) { parity(1f, 2f) }
    }

    @Test
    fun thePrecisionDecides() {
        val whole = MadeUp(File("unused")).manifest
        val got = floatArrayOf(4.4f, 0f, -4f)
        assertTrue(Parity.of(reference, got, Manifest.parse(sealed(whole))).passed)
        val fp32 = whole.with("artifact.precision", "fp32")
        assertFalse(Parity.of(reference, got, Manifest.parse(sealed(fp32))).passed)
        val bytes = fp32.with("output.dtype", "int8").with("output.scale", 1.0).with("output.zero_point", 0)
        assertTrue(Parity.of(reference, got, Manifest.parse(sealed(bytes))).passed)
        val other = Manifest.parse(sealed(whole.with("artifact.precision", "int3")))
        val error = assertThrows(BundleException::class.java) { Parity.of(reference, got, other) }
        assertEquals("manifest.json has an unknown precision: int3", error.message)
    }
}
