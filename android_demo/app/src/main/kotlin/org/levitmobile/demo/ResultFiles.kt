package org.levitmobile.demo

import android.content.Context
import android.os.Build
import java.io.File
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone
import org.levitmobile.core.BenchmarkRun
import org.levitmobile.core.Json
import org.levitmobile.core.Results
import org.levitmobile.core.write

/** Results as JSON: the latest for the user to share, and those that adb asked for where it can read them. */
internal class ResultFiles(private val context: Context) {
    val latest: File = File(folder(context), "levit-bench.json")

    /**
     * Where both this app and adb's shell may read and write, without any permission: the folder for media from Android 10
     * on, the cache on the shared storage before. Jetpack's Benchmark library does the same.
     */
    private fun shared(): File? = if (Build.VERSION.SDK_INT >= 29) {
        @Suppress("DEPRECATION") // nothing else is open to both
        context.externalMediaDirs.firstOrNull { it != null }
    } else {
        context.externalCacheDir
    }

    fun write(run: BenchmarkRun, id: String?) {
        val text = Results.json(listOf(run), now(), "$TOOL ${BuildConfig.VERSION_NAME}", Build.MODEL, phoneFacts(context))
        put(text, latest)
        if (id != null) send(text, id)
    }

    /** Why there are no results; whoever waits for them reads this in their place. */
    fun writeFailure(message: String, id: String) =
        send(Json.of(mapOf("kind" to "levit-bench-failure", "message" to message)).write(), id)

    private fun send(text: String, id: String) {
        val folder = shared() ?: return
        put(text, File(folder, "$id.json"))
    }

    /** Renamed into place: a file that is there is whole. */
    private fun put(text: String, file: File) {
        file.parentFile?.mkdirs()
        val part = File("${file.path}.part")
        part.writeText(text)
        part.renameTo(file)
    }

    private fun now(): String {
        val format = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'+00:00'", Locale.ROOT)
        format.timeZone = TimeZone.getTimeZone("UTC")
        return format.format(Date())
    }

    companion object {
        private const val TOOL = "levit-mobile android_demo"

        fun folder(context: Context): File = File(context.filesDir, "results")
    }
}
