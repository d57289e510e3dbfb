package org.levitmobile.core

import java.nio.ByteBuffer
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Test

class PictureTest {
    private fun picture(vararg rows: String) = Picture(
        rows[0].length,
        rows.size,
        rows.joinToString("").flatMap { letter ->
            List(3) { letter.code.toByte() }
        }.toByteArray()
    )

    private fun Picture.rows() =
        List(height) { y -> String(CharArray(width) { x -> bytes[3 * (y * width + x)].toInt().toChar() }) }

    /** What EXIF's numbers mean: where the first row and the first column of the file belong. */
    @Test
    fun orientations() {
        val file = picture("abc", "def")
        val upright =
            mapOf(
                1 to listOf("abc", "def"),
                2 to listOf("cba", "fed"),
                3 to listOf("fed", "cba"),
                4 to listOf("def", "abc"),
                5 to listOf("ad", "be", "cf"),
                6 to listOf("da", "eb", "fc"),
                7 to listOf("fc", "eb", "da"),
                8 to listOf("cf", "be", "ad")
            )
        for ((number, rows) in upright) assertEquals("$number", rows, file.upright(number).rows())
        assertSame(file, file.upright(0))
        assertSame(file, file.upright(99))
    }

    @Test
    fun turnsAreClockwise() {
        val file = picture("abc", "def")
        assertEquals(listOf("da", "eb", "fc"), file.rotated(90).rows())
        assertEquals(listOf("fed", "cba"), file.rotated(180).rows())
        assertEquals(listOf("cf", "be", "ad"), file.rotated(270).rows())
        assertSame(file, file.rotated(0))
        assertThrows(IllegalArgumentException::class.java) { file.rotated(45) }
    }

    @Test
    fun coloursThatAreClearLieOnWhite() {
        val colours = intArrayOf(0xff102030.toInt(), 0x00102030, 0x80000000.toInt())
        val picture = Picture.ofArgb(1, 3) { y, row -> row[0] = colours[y] }
        val levels = picture.bytes.map { it.toInt() and 255 }
        assertEquals(listOf(16, 32, 48, 255, 255, 255, 127, 127, 127), levels)
    }

    @Test
    fun sizes() {
        assertThrows(IllegalArgumentException::class.java) { Picture(2, 2, ByteArray(11)) }
        assertThrows(IllegalArgumentException::class.java) { Picture(0, 0, ByteArray(0)) }
    }

    @Test
    fun greyStaysGrey() {
        val luma = Plane(ByteBuffer.wrap(ByteArray(16) { (it * 17).toByte() }), 4, 1)
        val none = Plane(ByteBuffer.wrap(ByteArray(4) { 128.toByte() }), 2, 1)
        val picture = pictureOfYuv(4, 4, luma, none, none)
        assertArrayEquals(ByteArray(48) { (it / 3 * 17).toByte() }, picture.bytes)
    }

    /** Beside JFIF's formula in float64; planes with gaps, as cameras give them. */
    @Test
    fun colours() {
        val (width, height) = 6 to 4
        val luma = ByteArray(8 * height) { (it * 37).toByte() }
        val chroma = ByteArray(2 * 8 * height) { (it * 91 + 5).toByte() }
        val u = Plane(ByteBuffer.wrap(chroma), 10, 2)
        val v = Plane(ByteBuffer.wrap(chroma, 1, chroma.size - 1).slice(), 10, 2)
        val picture = pictureOfYuv(width, height, Plane(ByteBuffer.wrap(luma), 8, 1), u, v)
        for (y in 0 until height) {
            for (x in 0 until width) {
                val level = luma[8 * y + x].toInt() and 255
                val place = 10 * (y / 2) + 2 * (x / 2)
                val (cb, cr) = listOf(place, place + 1).map { (chroma[it].toInt() and 255) - 128 }
                val wanted = listOf(level + 1.402 * cr, level - 0.344136 * cb - 0.714136 * cr, level + 1.772 * cb)
                for (channel in 0..2) {
                    val got = picture.bytes[3 * (y * width + x) + channel].toInt() and 255
                    assertEquals("$x $y $channel", wanted[channel].coerceIn(0.0, 255.0), got.toDouble(), 0.51)
                }
            }
        }
    }
}
