package org.levitmobile.demo

import android.content.Context
import android.graphics.BitmapFactory
import android.media.ExifInterface
import android.net.Uri
import java.io.File
import java.io.IOException
import java.io.InputStream
import org.levitmobile.core.Picture

/** Pictures of the gallery and of the app's own samples. */
internal class Stills(private val context: Context) {
    private var next = 0

    /** The samples in turn, as [open] takes them; null: there are none. */
    fun nextSample(): String? {
        val names = context.assets.list(SAMPLES).orEmpty().sorted()
        return if (names.isEmpty()) null else "$SAMPLES/${names[next++ % names.size]}"
    }

    /** A sample, or what the user picked, by its address; null if it is no picture that Android can read. */
    fun open(source: String): Picture? = try {
        val sample = source.startsWith("$SAMPLES/")
        val stream = if (sample) context.assets.open(source) else context.contentResolver.openInputStream(Uri.parse(source))
        stream?.use(::decode)
    } catch (_: IOException) {
        null
    } catch (_: SecurityException) { // the right to read it ended with the app that picked it
        null
    }

    private fun decode(stream: InputStream): Picture? {
        val file = File.createTempFile("still", null, context.cacheDir) // read twice, and ExifInterface wants a file
        try {
            file.outputStream().use { stream.copyTo(it) }
            val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
            BitmapFactory.decodeFile(file.path, options)
            if (options.outWidth < 1 || options.outHeight < 1) return null
            options.inJustDecodeBounds = false
            options.inSampleSize = sampleSize(options.outWidth.toLong() * options.outHeight)
            val bitmap = BitmapFactory.decodeFile(file.path, options) ?: return null
            val picture =
                Picture.ofArgb(bitmap.width, bitmap.height) { y, row ->
                    bitmap.getPixels(row, 0, bitmap.width, 0, y, bitmap.width, 1)
                }
            bitmap.recycle()
            return picture.upright(orientation(file))
        } finally {
            file.delete()
        }
    }

    private fun orientation(file: File): Int = try {
        ExifInterface(file.path).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
    } catch (_: IOException) { // a format without EXIF
        ExifInterface.ORIENTATION_NORMAL
    }

    /** A power of two. A photo of 12 megapixels is read as it is; the model sees 224 x 224 of it. */
    private fun sampleSize(pixels: Long): Int =
        generateSequence(1) { it * 2 }.first { pixels / (it.toLong() * it) <= MOST_PIXELS }

    private companion object {
        const val SAMPLES = "samples"
        const val MOST_PIXELS = 12_500_000L
    }
}
