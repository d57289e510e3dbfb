package org.levitmobile.core

import java.nio.ByteBuffer

/** One plane of a camera's picture: bytes of a row are [pixelStride] apart, rows [rowStride]. */
class Plane(val buffer: ByteBuffer, val rowStride: Int, val pixelStride: Int) {
    internal fun level(x: Int, y: Int): Int = buffer.get(y * rowStride + x * pixelStride).toInt() and 255
}

/**
 * A camera's picture as RGB: Android's `YUV_420_888` is brightness for each pixel and two colour differences for each square
 * of four, all from 0 to 255 (JFIF's conversion, of ITU-R BT.601).
 */
fun pictureOfYuv(width: Int, height: Int, y: Plane, u: Plane, v: Plane): Picture {
    val out = ByteArray(3 * width * height)
    var to = 0
    for (row in 0 until height) {
        for (column in 0 until width) {
            val luma = y.level(column, row) shl BITS
            val blue = u.level(column / 2, row / 2) - 128
            val red = v.level(column / 2, row / 2) - 128
            out[to++] = byte(luma + RED_OF_V * red)
            out[to++] = byte(luma - GREEN_OF_U * blue - GREEN_OF_V * red)
            out[to++] = byte(luma + BLUE_OF_U * blue)
        }
    }
    return Picture(width, height, out)
}

private const val BITS = 16
private const val RED_OF_V = 91881 // 1.402 * 2^16
private const val GREEN_OF_U = 22554 // 0.344136
private const val GREEN_OF_V = 46802 // 0.714136
private const val BLUE_OF_U = 116130 // 1.772

private fun byte(fixed: Int): Byte = ((fixed + (1 shl (BITS - 1))) shr BITS).coerceIn(0, 255).toByte()
