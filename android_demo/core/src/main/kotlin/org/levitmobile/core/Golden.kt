package org.levitmobile.core

import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.ZipInputStream

/**
 * A bundle's `golden.npz`: drawn pictures that were cropped already, and PyTorch's logits for each.
 *
 * Two arrays in NumPy's format: `pixels`, uint8 (N, S, S, 3), and `logits`, float32 (N, classes).
 */
class Golden private constructor(val pictures: List<Picture>, val logits: List<FloatArray>) {
    internal fun check(manifest: Manifest) {
        val side = manifest.preprocessing.crop
        val fits =
            pictures.isNotEmpty() &&
                pictures.all { it.width == side && it.height == side } &&
                logits.size == pictures.size &&
                logits.all { it.size == manifest.labels.size }
        if (!fits) throw CorruptBundleException("${Manifest.GOLDEN} does not fit ${Manifest.NAME}")
    }

    companion object {
        private val SHAPE = Regex("'shape': \\(([0-9, ]+)\\)")

        /** @throws CorruptBundleException if it is no such file */
        fun read(stream: InputStream): Golden {
            try {
                val arrays = HashMap<String, ByteArray>()
                ZipInputStream(stream).use { zip ->
                    generateSequence { zip.nextEntry }.forEach { arrays[it.name] = zip.readBytes() }
                }
                val (pixelShape, pixels) = array(arrays.getValue("pixels.npy"), "|u1", 4)
                val (logitShape, logits) = array(arrays.getValue("logits.npy"), "<f4", 2)
                val (count, height, width, channels) = pixelShape
                require(channels == 3 && logitShape[0] == count)
                return Golden(
                    List(count) { Picture(width, height, ByteArray(3 * width * height).also(pixels::get)) },
                    List(count) { FloatArray(logitShape[1]) { logits.float } }
                )
            } catch (error: RuntimeException) {
                throw CorruptBundleException("${Manifest.GOLDEN} cannot be read ($error)")
            } catch (error: IOException) {
                throw CorruptBundleException("${Manifest.GOLDEN} cannot be read (${error.message})")
            }
        }

        private fun array(bytes: ByteArray, type: String, rank: Int): Pair<List<Int>, ByteBuffer> {
            val buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
            val magic = ByteArray(6).also(buffer::get)
            require(magic.contentEquals(byteArrayOf(0x93.toByte()) + "NUMPY".encodeToByteArray())) { "no NumPy array" }
            val major = buffer.get().toInt()
            buffer.get()
            val length = if (major == 1) buffer.short.toInt() and 0xffff else buffer.int
            val header = ByteArray(length).also(buffer::get).decodeToString()
            require("'descr': '$type'" in header && "'fortran_order': False" in header) { header }
            val numbers = requireNotNull(SHAPE.find(header)) { header }.groupValues[1].split(',')
            val shape = numbers.map(String::trim).filter(String::isNotEmpty).map(String::toInt)
            require(shape.size == rank) { header }
            return shape to buffer
        }
    }
}
