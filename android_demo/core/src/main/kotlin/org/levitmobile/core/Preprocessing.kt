package org.levitmobile.core

import kotlin.math.max
import kotlin.math.min

/**
 * What happens to a picture before the model sees it: the shorter side becomes [resize] pixels, the middle square of [crop]
 * is cut out, and each channel becomes `(level / 255 - mean) / std`.
 *
 * The same as `levit_mobile/preprocess.py`, to the bit; `tests/golden/vectors` holds both to it.
 */
class Preprocessing(val resize: Int, val crop: Int, val mean: List<Double>, val std: List<Double>) {
    init {
        require(crop in 1..resize && resize <= LARGEST) { "crop $crop and resize $resize make no sense" }
        require(mean.size == 3 && std.size == 3) { "mean and std want three numbers each" }
        require((mean + std).all { it.isFinite() } && std.all { it > 0 }) { "mean or std make no sense" }
    }

    /** For each channel, what its 256 levels become. Every step is one of float32. */
    val levels: List<FloatArray> =
        mean.zip(std).map { (mean, std) ->
            FloatArray(256) { level -> (level / 255f - mean.toFloat()) / std.toFloat() }
        }

    /** Of any size from 1 x 1 on, to [crop] x [crop]. */
    fun resizeAndCrop(picture: Picture): Picture {
        val (width, height) = picture.width to picture.height
        val short = min(width, height)
        // The longer side is truncated and the offset rounded half to even, as torchvision does.
        val newWidth = if (width == short) resize else (resize.toLong() * width / short.toDouble()).toInt()
        val newHeight = if (height == short) resize else (resize.toLong() * height / short.toDouble()).toInt()
        val left = Math.rint((newWidth - crop) / 2.0).toInt()
        val top = Math.rint((newHeight - crop) / 2.0).toInt()
        val columnsFirst = height - newHeight > max(0, 2 * (width - newWidth))
        val whole = max(newWidth, newHeight) <= LONGEST
        val across = if (whole) Axis.part(width, newWidth, left, crop) else Axis.middle(width, newWidth, left, crop)
        val down = if (whole) Axis.part(height, newHeight, top, crop) else Axis.middle(height, newHeight, top, crop)
        return if (columnsFirst) {
            resampleDown(picture, down, across.first until across.end).let {
                resampleAcross(it, across.shifted(), 0 until crop)
            }
        } else {
            resampleAcross(picture, across, down.first until down.end).let {
                resampleDown(it, down.shifted(), 0 until crop)
            }
        }
    }

    private companion object {
        const val LARGEST = 4096
        const val LONGEST = 4096 // pixels; a longer side is resized only where the crop will be
    }
}
