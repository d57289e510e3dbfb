package org.levitmobile.demo

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.graphics.Matrix
import android.graphics.RectF
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.util.Size
import android.view.Surface
import android.view.TextureView
import kotlin.math.max
import org.levitmobile.core.Picture
import org.levitmobile.core.Plane
import org.levitmobile.core.pictureOfYuv

/**
 * Live pictures of the back camera: shown in [view], and given to [onFrame] upright, on [handler]'s thread. While that is
 * busy, frames are dropped, and the next one is the latest.
 *
 * Called from the main thread. [onFailure] is called on [handler]'s.
 */
internal class Camera(
    context: Context,
    private val view: TextureView,
    private val handler: Handler,
    private val onFrame: (Picture) -> Unit,
    private val onFailure: () -> Unit
) {
    private val manager = context.getSystemService(Context.CAMERA_SERVICE) as CameraManager
    private var device: CameraDevice? = null
    private var reader: ImageReader? = null

    /** Between [start] and [stop], even where the camera failed. */
    @Volatile
    var running = false
        private set

    /** Whether there is a camera at all. */
    fun exists(): Boolean = backCamera() != null

    /** Needs the permission. [turned] is how the screen is turned from its natural orientation, in degrees. */
    fun start(turned: Int) {
        running = true
        if (view.isAvailable) open(turned)
        view.surfaceTextureListener =
            object : TextureView.SurfaceTextureListener {
                override fun onSurfaceTextureAvailable(texture: SurfaceTexture, width: Int, height: Int) = open(turned)

                override fun onSurfaceTextureSizeChanged(texture: SurfaceTexture, width: Int, height: Int) = Unit

                override fun onSurfaceTextureDestroyed(texture: SurfaceTexture): Boolean = true

                override fun onSurfaceTextureUpdated(texture: SurfaceTexture) = Unit
            }
    }

    fun stop() {
        running = false
        view.surfaceTextureListener = null
        device?.close()
        device = null
        reader?.close()
        reader = null
    }

    @SuppressLint("MissingPermission") // the activity asks for it before
    private fun open(turned: Int) {
        if (!running || reader != null) return
        try {
            val id = backCamera() ?: return onFailure()
            val about = manager.getCameraCharacteristics(id)
            val sensor = about.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
            val front = about.get(CameraCharacteristics.LENS_FACING) == CameraCharacteristics.LENS_FACING_FRONT
            val clockwise = if (front) (sensor + turned) % 360 else (sensor - turned + 360) % 360
            val size = frameSize(about)
            val frames = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, 2)
            val take = { image: Image -> image.use { onFrame(picture(it, clockwise)) } }
            frames.setOnImageAvailableListener({ it.acquireLatestImage()?.let(take) }, handler)
            reader = frames
            fit(size, sensor, turned)
            manager.openCamera(id, Opened(size, frames), handler)
        } catch (_: CameraAccessException) {
            onFailure()
        }
    }

    private inner class Opened(private val size: Size, private val frames: ImageReader) : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            val texture = view.surfaceTexture
            if (!running || texture == null) return camera.close()
            device = camera
            texture.setDefaultBufferSize(size.width, size.height)
            val surfaces = listOf(Surface(texture), frames.surface)
            try {
                val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                surfaces.forEach(request::addTarget)
                request.set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE)
                @Suppress("DEPRECATION") // its successor is of Android 9
                camera.createCaptureSession(surfaces, Configured(request), handler)
            } catch (_: CameraAccessException) {
                onFailure()
            } catch (_: IllegalStateException) { // closed in the meantime
                onFailure()
            }
        }

        override fun onDisconnected(camera: CameraDevice) {
            camera.close()
            onFailure()
        }

        override fun onError(camera: CameraDevice, error: Int) = onDisconnected(camera)
    }

    private inner class Configured(private val request: CaptureRequest.Builder) : CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) {
            try {
                session.setRepeatingRequest(request.build(), null, handler)
            } catch (_: CameraAccessException) {
                onFailure()
            } catch (_: IllegalStateException) { // closed in the meantime
            }
        }

        override fun onConfigureFailed(session: CameraCaptureSession) = onFailure()
    }

    private fun backCamera(): String? {
        val facing = { id: String -> manager.getCameraCharacteristics(id).get(CameraCharacteristics.LENS_FACING) }
        return try {
            val all = manager.cameraIdList
            all.find { facing(it) == CameraCharacteristics.LENS_FACING_BACK } ?: all.firstOrNull()
        } catch (_: CameraAccessException) {
            null
        }
    }

    /** The smallest that is no smaller than what pictures are resized to; they need not be larger. */
    private fun frameSize(about: CameraCharacteristics): Size {
        val all = about.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)?.getOutputSizes(ImageFormat.YUV_420_888)
        val sizes = all.orEmpty().sortedBy { it.width * it.height }
        return sizes.find { it.width >= WIDTH && it.height >= HEIGHT } ?: sizes.lastOrNull() ?: Size(WIDTH, HEIGHT)
    }

    private fun picture(image: Image, clockwise: Int): Picture {
        val (y, u, v) = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
        return pictureOfYuv(image.width, image.height, y, u, v).rotated(clockwise)
    }

    /** The view stretches the camera's picture over all of itself; undo that, and fill it from the middle instead. */
    private fun fit(size: Size, sensor: Int, turned: Int) {
        val (width, height) = view.width.toFloat() to view.height.toFloat()
        val across = sensor % 180 != 0
        // As the view shows it, before the screen was turned.
        val (shownWidth, shownHeight) = if (across) size.height to size.width else size.width to size.height
        val sideways = turned % 180 != 0
        val (upWidth, upHeight) = if (sideways) shownHeight to shownWidth else shownWidth to shownHeight
        val fill = max(width / upWidth, height / upHeight)
        val matrix = Matrix()
        val here = RectF(0f, 0f, width, height)
        val wanted = RectF(0f, 0f, shownWidth * fill, shownHeight * fill)
        wanted.offset(here.centerX() - wanted.centerX(), here.centerY() - wanted.centerY())
        matrix.setRectToRect(here, wanted, Matrix.ScaleToFit.FILL)
        matrix.postRotate(-turned.toFloat(), here.centerX(), here.centerY())
        view.setTransform(matrix)
    }

    private companion object {
        const val WIDTH = 640
        const val HEIGHT = 480
    }
}
