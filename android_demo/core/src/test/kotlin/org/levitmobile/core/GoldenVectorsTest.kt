package org.levitmobile.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized

/** To the bit what Python gives: pixels, both layouts of the tensor; and the likeliest classes. */
@RunWith(Parameterized::class)
class GoldenVectorsTest(@Suppress("unused") private val name: String, private val case: Json) {
    private val spec =
        VECTORS_JSON["preprocessing"].let { json ->
            val (mean, std) = listOf("mean", "std").map { key -> json[key].items.map(Json::double) }
            Preprocessing(json["resize"].int, json["crop"].int, mean, std)
        }
    private val picture = Picture(case["width"].int, case["height"].int, bytes("picture"))

    private fun bytes(key: String) = File(VECTORS, case[key].string).readBytes()

    private fun tensor(layout: String): ByteBuffer {
        val side = spec.crop
        val shape = if (layout == "nchw") listOf(1, 3, side, side) else listOf(1, side, side, 3)
        val model = MadeUp(File("unused"), side).manifest.with("input.shape", shape).with("input.layout", layout)
        val manifest = Manifest.parse(sealed(model.with("preprocessing", VECTORS_JSON["preprocessing"])))
        return manifest.input.buffer().also { manifest.fill(it, spec.resizeAndCrop(picture)) }
    }

    @Test
    fun pixels() = assertArrayEquals(bytes("pixels"), spec.resizeAndCrop(picture).bytes)

    @Test
    fun levels() {
        val wanted = VECTORS_JSON["levels"].items.map { row -> row.items.map(Json::bits) }
        assertEquals(wanted, spec.levels.map { row -> row.map(Float::toRawBits) })
    }

    @Test
    fun channelsFirst() {
        val tensor = tensor("nchw")
        check(tensor, "nchw")
        val little = ByteBuffer.allocate(tensor.capacity()).order(ByteOrder.LITTLE_ENDIAN)
        while (tensor.hasRemaining()) little.putFloat(tensor.float)
        assertEquals(case["nchw_sha256"].string, sha256(little.array()))
    }

    @Test
    fun channelsLast() = check(tensor("nhwc"), "nhwc")

    private fun check(tensor: ByteBuffer, layout: String) {
        assertTrue(case["entries"].items.size > 20)
        for (entry in case["entries"].items) {
            assertEquals(entry["bits"].bits, tensor.getFloat(4 * entry[layout].int).toRawBits())
        }
    }

    @Test
    fun likeliest() {
        val logits = case["logits"].items.map { it.double.toFloat() }.toFloatArray()
        val top = topK(logits, VECTORS_JSON["labels"].items.map(Json::string), 5)
        val wanted = case["top"].items
        assertEquals(wanted.map { it["class"].int to it["label"].string }, top.map { it.index to it.label })
        top.zip(wanted) { score, row -> assertEquals(row["probability"].double, score.probability, 1e-9) }
    }

    companion object {
        private val VECTORS_JSON = Json.parse(File(VECTORS, "vectors.json").readText())

        @JvmStatic
        @Parameterized.Parameters(name = "{0}")
        fun cases(): List<Array<Any>> = VECTORS_JSON["cases"].items.map { arrayOf(it["name"].string, it) }
    }
}
