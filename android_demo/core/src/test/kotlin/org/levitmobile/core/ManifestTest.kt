package org.levitmobile.core

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ManifestTest {
    private val whole = MadeUp(File("unused")).manifest

    private fun refusal(path: String, value: Any?): String {
        val text = sealed(whole.with(path, value))
        return assertThrows("$path $value", BundleException::class.java) { Manifest.parse(text) }.message!!
    }

    @Test
    fun whatItSays() {
        val manifest = Manifest.parse(sealed(whole))
        assertEquals("levit_128s", manifest.variant)
        assertEquals("model.tflite", manifest.artifact)
        assertEquals("int8", manifest.precision)
        assertEquals(listOf("tench", "church", "gas pump"), manifest.labels)
        assertEquals(Port("image", listOf(1, 8, 8, 3), DType.FLOAT32, 1.0, 0), manifest.input)
        assertEquals(Takes.NORMALISED, manifest.takes)
        assertFalse(manifest.channelsFirst)
        assertEquals(10, manifest.preprocessing.resize)
        assertEquals(1000, manifest.files.getValue("model.tflite").bytes)
        assertEquals(listOf("forward"), manifest.methods)
    }

    @Test
    fun theFasterMethodIsTriedFirst() {
        val both = whole.with("artifact.methods", listOf("forward", "forward_float16"))
        assertEquals(listOf("forward_float16", "forward"), Manifest.parse(sealed(both)).methods)
        assertEquals("manifest.json: artifact.methods is empty", refusal("artifact.methods", emptyList<String>()))
        assertTrue("artifact.methods is not a list" in refusal("artifact.methods", "forward"))
    }

    @Test
    fun wholeNumbers() {
        val port = mapOf("name" to "image", "shape" to listOf(1, 3, 8, 8), "dtype" to "int8", "scale" to 0.5, "zero_point" to -3)
        val text = sealed(whole.with("input", port + mapOf("layout" to "nchw", "takes" to "pixels")))
        val manifest = Manifest.parse(text)
        assertEquals(Port("image", listOf(1, 3, 8, 8), DType.INT8, 0.5, -3), manifest.input)
        assertEquals(Takes.PIXELS, manifest.takes)
        assertTrue(manifest.channelsFirst)
    }

    @Test
    fun anotherFormat() {
        assertEquals("manifest.json has format 2; this app reads 1", refusal("format", 2))
        assertEquals("manifest.json has format none; this app reads 1", refusal("format", null))
        assertEquals("manifest.json has format none; this app reads 1", refusal("format", "1"))
    }

    @Test
    fun everyKeyThatIsMissing() {
        val needed =
            "model model.variant artifact artifact.file artifact.target artifact.precision labels parity files " +
                "preprocessing preprocessing.crop preprocessing.resize preprocessing.mean preprocessing.std " +
                "input input.name input.shape input.dtype input.layout input.takes " +
                "output output.name output.shape output.dtype"
        for (path in needed.split(' ')) assertEquals("manifest.json lacks $path", refusal(path, null))
    }

    @Test
    fun everyKeyOfAnotherKind() {
        for (path in listOf("model", "artifact.file", "labels", "preprocessing.mean", "input.shape", "files")) {
            assertTrue(refusal(path, 7).startsWith("manifest.json: $path is not "))
        }
        for (path in listOf("preprocessing.crop", "output.name", "parity")) {
            assertTrue(refusal(path, true).startsWith("manifest.json: $path is not "))
        }
    }

    @Test
    fun whatMakesNoSense() {
        assertEquals("manifest.json: input.dtype is not float32 or int8 or uint8", refusal("input.dtype", "int4"))
        assertEquals("manifest.json: input.layout is not nhwc or nchw", refusal("input.layout", "hwc"))
        assertEquals("manifest.json: input.takes is not normalised pixels or pixels", refusal("input.takes", "image"))
        assertTrue("lacks input.scale" in refusal("input.dtype", "int8"))
        assertTrue("input.shape is [1, 9, 9, 3], expected [1, 8, 8, 3]" in refusal("input.shape", listOf(1, 9, 9, 3)))
        assertTrue("input.shape is not a shape" in refusal("input.shape", listOf(1, 100000, 100000, 3)))
        assertTrue("output.shape is [1, 4] for 3 labels" in refusal("output.shape", listOf(1, 4)))
        assertTrue("crop 11 and resize 10 make no sense" in refusal("preprocessing.crop", 11))
        assertTrue("mean or std make no sense" in refusal("preprocessing.std", listOf(1, 0, 1)))
        assertTrue("three numbers each" in refusal("preprocessing.mean", listOf(1, 2)))
        assertTrue("interpolation nearest is not supported" in refusal("preprocessing.interpolation", "nearest"))
        assertTrue("artifact or golden.npz" in refusal("artifact.file", "other.tflite"))
    }

    @Test
    fun filesOutsideOfTheBundle() {
        val facts = mapOf("bytes" to 1, "sha256" to "0".repeat(64))
        for (name in listOf("../x", "/x", "a//b", "a/./b", "a\\b", "manifest.json")) {
            val files = (whole["files"] as Json.Obj).entries + (name to facts)
            assertEquals("manifest.json: files names one outside of the bundle: $name", refusal("files", files))
        }
    }

    @Test
    fun digestsThatAreNone() {
        val files = { facts: Map<String, Any> -> (whole["files"] as Json.Obj).entries + ("x" to facts) }
        assertTrue("files.x.sha256 is not 64" in refusal("files", files(mapOf("bytes" to 1, "sha256" to "ab"))))
        assertTrue("files.x.bytes is not a whole" in refusal("files", files(mapOf("bytes" to 1.5, "sha256" to "0".repeat(64)))))
    }

    @Test
    fun anEditedManifest() {
        val text = sealed(whole).replace("\"church\"", "\"chapel\"")
        val error = assertThrows(CorruptBundleException::class.java) { Manifest.parse(text) }
        assertEquals("manifest.json was edited: its digest is not that of what it says", error.message)
    }

    @Test
    fun textThatIsNoManifest() {
        for (text in listOf("", "[]", "{", "no", "1")) {
            assertThrows(text, BundleException::class.java) { Manifest.parse(text) }
        }
    }
}
