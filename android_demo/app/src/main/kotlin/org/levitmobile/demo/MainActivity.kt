package org.levitmobile.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.Settings
import android.view.Surface
import android.view.TextureView
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import org.levitmobile.core.Answer
import org.levitmobile.core.Picture
import org.levitmobile.core.Score

/** What is in front of the camera, or in a picture: the likeliest classes, and how long it took. */
internal class MainActivity :
    Activity(),
    ClassifierThread.Listener {
    private lateinit var store: BundleStore
    private lateinit var stills: Stills
    private lateinit var worker: ClassifierThread
    private lateinit var camera: Camera
    private lateinit var choices: Choices
    private var source: String? = null // of the picture that is shown; null: the camera
    private var inFront = false
    private var still: Picture? = null
    private val live get() = source == null
    private var spoken = ""

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.activity_main)
        store = BundleStore(this)
        stills = Stills(this)
        worker = ClassifierThread(applicationContext, this)
        camera =
            Camera(this, view<TextureView>(R.id.preview), worker.handler, worker::classifyHere) {
                runOnUiThread { if (live) show(R.string.camera_failed, R.string.retry, ::startCamera) }
            }
        choices = Choices(this, store.all(), ::load)
        source = state?.getString(SOURCE)
        view<Button>(R.id.camera).setOnClickListener { startCamera() }
        view<Button>(R.id.gallery).setOnClickListener { pick() }
        view<Button>(R.id.sample).setOnClickListener { showStill(stills.nextSample()) }
        view<Button>(R.id.benchmark).setOnClickListener { benchmark() }
    }

    override fun onStart() {
        super.onStart()
        load()
        source?.let(::showStill)
    }

    override fun onResume() {
        super.onResume()
        inFront = true
        if (live) startCamera()
    }

    override fun onPause() {
        inFront = false
        camera.stop()
        super.onPause()
    }

    override fun onStop() {
        worker.release() // another app, or the benchmark, may want the memory
        super.onStop()
    }

    override fun onDestroy() {
        worker.quit()
        super.onDestroy()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(SOURCE, source)
    }

    private fun load() {
        val choice = choices.current
        view<Button>(R.id.benchmark).isEnabled = choice != null
        if (choice == null) return show(R.string.no_model)
        view<TextView>(R.id.timing).setText(R.string.loading)
        worker.load(store, choice)
        if (inFront) still?.let(worker::classify)
    }

    private fun benchmark() {
        choices.current?.let { startActivity(BenchmarkActivity.intent(this, it)) }
    }

    // Where pictures come from

    private fun startCamera() {
        source = null
        still = null
        view<View>(R.id.still).visibility = View.GONE
        when {
            choices.current == null -> show(R.string.no_model)

            !camera.exists() -> show(R.string.no_camera)

            checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED -> {
                view<View>(R.id.state).visibility = View.GONE
                camera.stop()
                camera.start(turned())
            }

            // Not asked for at once: whoever wants the samples only need not be troubled.
            else -> show(R.string.no_permission, R.string.allow) { requestPermissions(arrayOf(Manifest.permission.CAMERA), 0) }
        }
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<String>, results: IntArray) {
        when {
            PackageManager.PERMISSION_GRANTED in results -> startCamera()

            // Refused for good: Android asks no more, and only the settings help.
            results.isNotEmpty() && !shouldShowRequestPermissionRationale(Manifest.permission.CAMERA) -> {
                val about = Uri.fromParts("package", packageName, null)
                startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, about))
            }
        }
    }

    private fun turned(): Int {
        @Suppress("DEPRECATION") // its successor is of Android 11
        val rotation = windowManager.defaultDisplay.rotation
        return when (rotation) {
            Surface.ROTATION_90 -> 90
            Surface.ROTATION_180 -> 180
            Surface.ROTATION_270 -> 270
            else -> 0
        }
    }

    /** The photo picker from Android 13 on; the document picker before. Neither needs a permission. */
    private fun pick() {
        val documents = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType(PICTURES)
        val photos = Intent(PICK_IMAGES).setType(PICTURES)
        startActivityForResult(if (Build.VERSION.SDK_INT >= ANDROID_13) photos else documents, 0)
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val uri = data?.data ?: return
        if (result == RESULT_OK) showStill(uri.toString())
    }

    private fun showStill(from: String?) {
        if (from == null) return show(R.string.picture_failed)
        source = from
        still = null
        camera.stop()
        worker.handler.post {
            val picture = stills.open(from)
            runOnUiThread { if (source == from) onStill(picture) }
        }
    }

    private fun onStill(picture: Picture?) {
        if (picture == null) return show(R.string.picture_failed)
        still = picture
        val image = view<ImageView>(R.id.still)
        image.setImageBitmap(bitmap(picture))
        image.visibility = View.VISIBLE
        if (choices.current == null) return show(R.string.no_model)
        view<View>(R.id.state).visibility = View.GONE
        worker.classify(picture)
    }

    private fun bitmap(picture: Picture): Bitmap {
        val level = { at: Int -> picture.bytes[at].toInt() and 255 }
        val colours =
            IntArray(picture.width * picture.height) {
                (255 shl 24) or (level(3 * it) shl 16) or (level(3 * it + 1) shl 8) or level(3 * it + 2)
            }
        return Bitmap.createBitmap(colours, picture.width, picture.height, Bitmap.Config.ARGB_8888)
    }

    // What the classifier tells

    override fun onLoaded(bundle: org.levitmobile.core.Bundle, accelerators: List<Accelerator>) {
        choices.offer(accelerators)
        when {
            !live && still != null -> view<View>(R.id.state).visibility = View.GONE
            live && inFront && !camera.running -> startCamera()
        }
    }

    override fun onAnswer(answer: Answer, runtime: String) {
        val rows = view<LinearLayout>(R.id.scores)
        while (rows.childCount < answer.scores.size) layoutInflater.inflate(R.layout.row_score, rows)
        answer.scores.forEachIndexed { index, score -> fill(rows.getChildAt(index), index + 1, score) }
        val timing = view<TextView>(R.id.timing)
        timing.text = getString(R.string.timing, answer.inferenceMs, answer.prepareMs, runtime)
        val first = rows.getChildAt(0).contentDescription.toString()
        if (!live && first != spoken) rows.announceForAccessibility(first)
        spoken = first
    }

    private fun fill(row: View, place: Int, score: Score) {
        row.view<TextView>(R.id.score_label).text = score.label
        row.view<TextView>(R.id.score_percent).text = getString(R.string.score_percent, 100 * score.probability)
        row.view<ProgressBar>(R.id.score_bar).progress = (1000 * score.probability).toInt()
        row.contentDescription = getString(R.string.score_spoken, place, score.label, 100 * score.probability)
    }

    override fun onFailure(message: String) {
        camera.stop()
        view<LinearLayout>(R.id.scores).removeAllViews()
        show(message)
    }

    private fun show(message: Int, action: Int = 0, onAction: () -> Unit = {}) = show(getString(message), action, onAction)

    /** Instead of the picture, what is the matter; with a button if there is something to do about it. */
    private fun show(message: String, action: Int = 0, onAction: () -> Unit = {}) {
        view<TextView>(R.id.state_text).text = message
        view<TextView>(R.id.timing).text = ""
        view<Button>(R.id.state_action).apply {
            visibility = if (action == 0) View.GONE else View.VISIBLE
            if (action != 0) setText(action)
            setOnClickListener { onAction() }
        }
        view<View>(R.id.state).visibility = View.VISIBLE
    }

    private companion object {
        const val SOURCE = "source"
        const val PICTURES = "image/*"
        const val PICK_IMAGES = "android.provider.action.PICK_IMAGES" // MediaStore's, from Android 13 on
        const val ANDROID_13 = 33
    }
}
