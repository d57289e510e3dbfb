package org.levitmobile.demo

import android.content.Context
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import org.levitmobile.core.Answer
import org.levitmobile.core.Bundle
import org.levitmobile.core.BundleClassifier
import org.levitmobile.core.BundleException
import org.levitmobile.core.BundleSource
import org.levitmobile.core.Classifier
import org.levitmobile.core.CorruptBundleException
import org.levitmobile.core.Picture
import org.levitmobile.core.RuntimeFailure

/** What the user chose to classify with. */
internal data class Choice(val source: BundleSource, val accelerator: Accelerator, val threads: Int)

/**
 * The one thread that touches the classifier. Camera frames are handed over on it too, so while it is busy the camera drops
 * frames, and the next one that it gets is the latest.
 */
internal class ClassifierThread(private val context: Context, private val listener: Listener) {
    /** Called on the main thread. */
    interface Listener {
        fun onLoaded(bundle: Bundle, accelerators: List<Accelerator>)

        fun onAnswer(answer: Answer, runtime: String)

        /** [message] says what is wrong and what to do. */
        fun onFailure(message: String)
    }

    private val thread = HandlerThread("classifier").apply { start() }
    private val main = Handler(Looper.getMainLooper())
    private var classifier: Classifier? = null
    private var runtimeName = ""
    val handler = Handler(thread.looper)

    /** The classifier of before is closed in any case. */
    fun load(store: BundleStore, choice: Choice) {
        handler.post {
            unload()
            try {
                val bundle = store.open(choice.source)
                val runtime = openRuntime(context, bundle, choice.accelerator, choice.threads)
                classifier = BundleClassifier(bundle.manifest, runtime)
                runtimeName = runtime.name
                val accelerators = acceleratorsFor(bundle)
                main.post { listener.onLoaded(bundle, accelerators) }
            } catch (error: BundleException) {
                fail(error)
            } catch (error: RuntimeFailure) {
                fail(error)
            }
        }
    }

    /** To be called on [handler]'s thread: at once, so that a camera's buffer is not kept. */
    fun classifyHere(picture: Picture) {
        val classifier = classifier ?: return
        try {
            val answer = classifier.classify(picture, TOP)
            main.post { listener.onAnswer(answer, runtimeName) }
        } catch (error: RuntimeException) { // each runtime has its own kinds
            unload()
            fail(error)
        }
    }

    fun classify(picture: Picture) {
        handler.post { classifyHere(picture) }
    }

    fun release() {
        handler.post { unload() }
    }

    fun quit() {
        release()
        thread.quitSafely()
    }

    private fun unload() {
        classifier?.close()
        classifier = null
    }

    private fun fail(error: Exception) {
        val message = describe(context, error)
        main.post { listener.onFailure(message) }
    }

    companion object {
        const val TOP = 5
    }
}

/** What went wrong, and what to do. */
internal fun describe(context: Context, error: Exception): String {
    val detail = error.message ?: error.toString()
    val text =
        when (error) {
            is CorruptBundleException -> R.string.bundle_corrupt
            is BundleException -> R.string.bundle_unusable
            else -> R.string.runtime_failed
        }
    return context.getString(text, detail)
}
