package org.levitmobile.core

import java.io.File
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class BundleTest {
    @get:Rule
    val temporary = TemporaryFolder()
    private val folder by lazy { File(temporary.root, "levit_128s-int8-tflite") }
    private val cache by lazy { File(temporary.root, "cache") }
    private val made by lazy { MadeUp(folder) }

    private fun corrupt(damage: () -> Unit): String {
        val source = made.write()
        damage()
        return assertThrows(CorruptBundleException::class.java) { Bundle.open(source, cache) }.message!!
    }

    @Test
    fun whole() {
        val bundle = Bundle.open(made.write(), cache)
        assertEquals("levit_128s-int8-tflite", bundle.name)
        assertArrayEquals(made.files["model.tflite"], bundle.artifact.readBytes())
        assertEquals("tflite", bundle.artifact.extension)
        assertArrayEquals(made.pictures[1].bytes, bundle.golden.pictures[1].bytes)
        assertArrayEquals(made.logits[1], bundle.golden.logits[1], 0f)
    }

    @Test
    fun theArtifactIsCopiedOnce() {
        val source = made.write()
        val first = Bundle.open(source, cache).artifact
        first.setLastModified(1_000_000)
        assertEquals(first, Bundle.open(source, cache).artifact)
        assertEquals(1_000_000, first.lastModified())
        assertEquals(listOf(first.name), cache.list()!!.toList())
    }

    @Test
    fun aCopyThatWasChangedIsNotTaken() {
        val source = made.write()
        val copy = Bundle.open(source, cache).artifact
        copy.writeBytes(ByteArray(1000))
        val error = assertThrows(CorruptBundleException::class.java) { Bundle.open(source, cache) }
        assertEquals("model.tflite was changed: its sha256 is not the manifest's", error.message)
    }

    @Test
    fun aCopyThatWasCutShortIsMadeAnew() {
        val source = made.write()
        val copy = Bundle.open(source, cache).artifact
        copy.writeBytes(ByteArray(10))
        assertArrayEquals(made.files["model.tflite"], Bundle.open(source, cache).artifact.readBytes())
    }

    @Test
    fun aChangedArtifact() {
        val told = corrupt { File(folder, "model.tflite").writeBytes(ByteArray(1000)) }
        assertEquals("model.tflite was changed: its sha256 is not the manifest's", told)
        assertEquals(emptyList<String>(), cache.list()!!.toList())
    }

    @Test
    fun anArtifactThatWasCutShort() {
        val told = corrupt { File(folder, "model.tflite").writeBytes(ByteArray(999)) }
        assertEquals("model.tflite has 999 bytes, the manifest says 1000", told)
    }

    @Test
    fun aMissingFile() {
        assertTrue(corrupt { File(folder, "model.tflite").delete() }.startsWith("model.tflite is missing"))
        assertTrue(corrupt { File(folder, "golden.npz").delete() }.startsWith("golden.npz is missing"))
    }

    @Test
    fun aChangedGoldenFile() {
        val told = corrupt { File(folder, "golden.npz").appendText("x") }
        assertTrue(told, told.startsWith("golden.npz has "))
    }

    @Test
    fun noBundle() {
        val error = assertThrows(BundleException::class.java) { Bundle.open(FolderSource(temporary.newFolder("x")), cache) }
        assertEquals("x is no bundle: manifest.json cannot be read", error.message)
    }

    @Test
    fun goldenInputsThatAreNone() {
        for (bytes in listOf(ByteArray(0), "no".encodeToByteArray(), made.files.getValue("golden.npz").copyOf(120))) {
            made.files["golden.npz"] = bytes
            val error = assertThrows(CorruptBundleException::class.java) { Bundle.open(made.write(), cache) }
            assertTrue(error.message, error.message!!.startsWith("golden.npz cannot be read"))
        }
    }

    @Test
    fun goldenInputsOfAnotherModel() {
        made.files["golden.npz"] = MadeUp(folder, 9).files.getValue("golden.npz")
        val error = assertThrows(CorruptBundleException::class.java) { Bundle.open(made.write(), cache) }
        assertEquals("golden.npz does not fit manifest.json", error.message)
    }
}
