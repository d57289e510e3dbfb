package org.levitmobile.core

import java.io.File
import java.nio.ByteBuffer
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class TensorsTest {
    private val picture = Picture(8, 8, ByteArray(192) { it.toByte() })

    private fun manifest(input: Map<String, Any>, output: Map<String, Any> = emptyMap()): Manifest {
        var json = MadeUp(File("unused")).manifest
        for ((key, value) in input) json = json.with("input.$key", value)
        for ((key, value) in output) json = json.with("output.$key", value)
        return Manifest.parse(sealed(json))
    }

    private fun filled(manifest: Manifest): ByteBuffer = manifest.input.buffer().also { manifest.fill(it, picture) }

    private fun ByteBuffer.bytes(count: Int) = ByteArray(count).also(::get)

    @Test
    fun levelsAsUint8() {
        val manifest = manifest(mapOf("dtype" to "uint8", "scale" to 1.0, "zero_point" to 0, "takes" to "pixels"))
        assertArrayEquals(picture.bytes, filled(manifest).bytes(192))
    }

    @Test
    fun levelsAsInt8() {
        val manifest = manifest(mapOf("dtype" to "int8", "scale" to 1.0, "zero_point" to -128, "takes" to "pixels"))
        assertArrayEquals(ByteArray(192) { (it - 128).toByte() }, filled(manifest).bytes(192))
    }

    @Test
    fun levelsAsFloats() {
        val buffer = filled(manifest(mapOf("takes" to "pixels")))
        assertEquals(List(192) { it.toFloat() }, List(192) { buffer.float })
    }

    @Test
    fun channelsFirst() {
        val shape = mapOf("layout" to "nchw", "shape" to listOf(1, 3, 8, 8))
        val buffer = filled(manifest(shape + mapOf("dtype" to "uint8", "scale" to 1.0, "zero_point" to 0, "takes" to "pixels")))
        assertArrayEquals(ByteArray(192) { (3 * (it % 64) + it / 64).toByte() }, buffer.bytes(192))
    }

    @Test
    fun normalisedWholeNumbersAreRoundedAndClipped() {
        val manifest = manifest(mapOf("dtype" to "int8", "scale" to 0.02, "zero_point" to 3))
        val bytes = filled(manifest).bytes(192)
        val red = { level: Int -> (level / 255f - 0.485f) / 0.229f }
        assertEquals(Math.rint(red(0) / 0.02).toInt() + 3, bytes[0].toInt())
        assertEquals(Math.rint(red(60) / 0.02).toInt() + 3, bytes[60].toInt())
        val steep = manifest(mapOf("dtype" to "int8", "scale" to 0.001, "zero_point" to 0))
        assertEquals(-128, filled(steep).get(0).toInt())
        assertEquals(127, filled(steep).get(189).toInt())
    }

    @Test
    fun outputs() {
        val floats = Port("logits", listOf(1, 3), DType.FLOAT32, 1.0, 0)
        val buffer = floats.buffer().apply { listOf(1f, -2f, 0.5f).forEach(::putFloat) }
        assertArrayEquals(floatArrayOf(1f, -2f, 0.5f), floats.floats(buffer), 0f)
        assertArrayEquals("twice", floatArrayOf(1f, -2f, 0.5f), floats.floats(buffer), 0f)
        val bytes = byteArrayOf(-128, 0, 127)
        val signed = Port("logits", listOf(1, 3), DType.INT8, 0.5, -40)
        assertArrayEquals(floatArrayOf(-44f, 20f, 83.5f), signed.floats(ByteBuffer.wrap(bytes)), 0f)
        val unsigned = Port("logits", listOf(1, 3), DType.UINT8, 0.5, 88)
        assertArrayEquals(floatArrayOf(20f, -44f, 19.5f), unsigned.floats(ByteBuffer.wrap(bytes)), 0f)
    }

    @Test
    fun topOfEqualsIsTheLowerNumber() {
        val labels = listOf("a", "b", "c", "d")
        val top = topK(floatArrayOf(0f, 2f, 2f, 1f), labels, 3)
        assertEquals(listOf(1, 2, 3), top.map { it.index })
        assertEquals(listOf("b", "c", "d"), top.map { it.label })
        assertEquals(top[0].probability, top[1].probability, 0.0)
        assertEquals(1.0, topK(floatArrayOf(1f, 2f, 3f, 4f), labels, 4).sumOf { it.probability }, 1e-15)
        assertEquals(4, topK(floatArrayOf(1f, 2f, 3f, 4f), labels, 9).size)
    }

    @Test
    fun logitsThatAreFarApart() {
        val top = topK(floatArrayOf(1000f, -1000f, 999f), listOf("a", "b", "c"), 3)
        assertEquals(listOf(0, 2, 1), top.map { it.index })
        assertEquals(1 / (1 + Math.exp(-1.0)), top[0].probability, 1e-12)
        assertEquals(0.0, top[2].probability, 0.0)
    }

    @Test
    fun anotherNumberOfLabels() {
        assertThrows(IllegalArgumentException::class.java) { topK(floatArrayOf(1f), listOf("a", "b"), 1) }
    }

    @Test
    fun aPictureOfAnotherSize() {
        val manifest = manifest(emptyMap())
        assertThrows(IllegalArgumentException::class.java) { manifest.fill(manifest.input.buffer(), Picture(1, 1, ByteArray(3))) }
    }
}
