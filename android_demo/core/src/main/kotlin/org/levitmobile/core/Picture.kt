package org.levitmobile.core

/** RGB, 8 bits a channel: [bytes] are rows from above, red green blue. */
class Picture(val width: Int, val height: Int, val bytes: ByteArray) {
    init {
        require(width > 0 && height > 0 && bytes.size.toLong() == 3L * width * height) {
            "${bytes.size} bytes for a picture of $width x $height"
        }
    }

    /** Turned as EXIF's orientation (1 to 8) says, so that it stands upright; any other number leaves it. */
    fun upright(orientation: Int): Picture {
        val last = (height - 1) * width // where the last row begins
        return when (orientation) {
            2 -> turned(width, height, width - 1, -1, width)
            3 -> turned(width, height, last + width - 1, -1, -width)
            4 -> turned(width, height, last, 1, -width)
            5 -> turned(height, width, 0, width, 1)
            6 -> turned(height, width, last, -width, 1)
            7 -> turned(height, width, last + width - 1, -width, -1)
            8 -> turned(height, width, width - 1, width, -1)
            else -> this
        }
    }

    /** Clockwise, by 0, 90, 180 or 270 degrees. */
    fun rotated(degrees: Int): Picture = when (degrees) {
        0 -> this
        90 -> upright(6)
        180 -> upright(3)
        270 -> upright(8)
        else -> throw IllegalArgumentException("pictures turn by 90 degrees, not by $degrees")
    }

    /** Pixel (x, y) of the new picture is the old one's number [start] + x * [stepX] + y * [stepY]. */
    private fun turned(newWidth: Int, newHeight: Int, start: Int, stepX: Int, stepY: Int): Picture {
        val out = ByteArray(bytes.size)
        var to = 0
        for (y in 0 until newHeight) {
            var from = 3 * (start + y * stepY)
            repeat(newWidth) {
                out[to] = bytes[from]
                out[to + 1] = bytes[from + 1]
                out[to + 2] = bytes[from + 2]
                to += 3
                from += 3 * stepX
            }
        }
        return Picture(newWidth, newHeight, out)
    }

    companion object {
        /**
         * From colours as Android's bitmaps give them, `0xAARRGGBB`, not premultiplied; what is clear is laid on white.
         *
         * @param read writes the colours of row `y` into `colours`, so that a large photo is not in memory once more
         */
        fun ofArgb(width: Int, height: Int, read: (y: Int, colours: IntArray) -> Unit): Picture {
            val out = ByteArray(3 * width * height)
            val row = IntArray(width)
            var to = 0
            for (y in 0 until height) {
                read(y, row)
                for (colour in row) {
                    val alpha = colour ushr 24
                    for (shift in 16 downTo 0 step 8) {
                        val level = colour shr shift and 255
                        out[to++] = ((level * alpha + 255 * (255 - alpha) + 127) / 255).toByte()
                    }
                }
            }
            return Picture(width, height, out)
        }
    }
}
