package org.levitmobile.demo

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

/** Lets the app that the user shares with read the results, and nothing else. */
internal class ResultsProvider : ContentProvider() {
    override fun onCreate(): Boolean = true

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw FileNotFoundException("$uri is for reading")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun query(uri: Uri, columns: Array<String>?, selection: String?, arguments: Array<String>?, order: String?): Cursor {
        val file = file(uri)
        val known = mapOf<String, Any>(OpenableColumns.DISPLAY_NAME to file.name, OpenableColumns.SIZE to file.length())
        val asked = columns?.filter(known::containsKey) ?: known.keys.toList()
        return MatrixCursor(asked.toTypedArray()).apply { addRow(asked.map(known::get)) }
    }

    override fun getType(uri: Uri): String = TYPE

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun update(uri: Uri, values: ContentValues?, selection: String?, arguments: Array<String>?): Int = 0

    override fun delete(uri: Uri, selection: String?, arguments: Array<String>?): Int = 0

    private fun file(uri: Uri): File {
        val context = context ?: throw FileNotFoundException("no context")
        val name = uri.lastPathSegment.orEmpty()
        val file = File(ResultFiles.folder(context), name)
        if ('/' in name || name == ".." || !file.isFile) throw FileNotFoundException("no results: $uri")
        return file
    }

    companion object {
        const val TYPE = "application/json"

        fun uri(context: Context, name: String): Uri =
            Uri.Builder().scheme("content").authority("${context.packageName}.results").path(name).build()
    }
}
