package org.levitmobile.demo

import android.content.Context
import android.content.res.AssetManager
import java.io.File
import java.io.InputStream
import org.levitmobile.core.Bundle
import org.levitmobile.core.BundleSource
import org.levitmobile.core.FolderSource

/** The bundles that this app can reach: in its assets, and in folders that were pushed to the phone. */
internal class BundleStore(private val context: Context) {
    private val cache = File(context.filesDir, "artifacts")

    /** Those of `levit-export --into android_demo` first, then those in the app's own folder on the shared storage. */
    fun all(): List<BundleSource> {
        val inside = context.assets.list(FOLDER).orEmpty().sorted().map { AssetSource(context.assets, it) }
        val pushed = context.getExternalFilesDir(FOLDER)?.listFiles { file -> file.isDirectory }.orEmpty()
        return inside + pushed.sorted().map(::FolderSource)
    }

    /** One of [all] by its name, or any folder by its path. */
    fun find(name: String): BundleSource? = if ('/' in name) FolderSource(File(name)) else all().find { it.name == name }

    /** @throws org.levitmobile.core.BundleException if it is not whole, or not for this app */
    fun open(source: BundleSource): Bundle = Bundle.open(source, cache)

    private companion object {
        const val FOLDER = "bundles"
    }
}

private class AssetSource(private val assets: AssetManager, override val name: String) : BundleSource {
    override fun open(file: String): InputStream = assets.open("bundles/$name/$file")
}
