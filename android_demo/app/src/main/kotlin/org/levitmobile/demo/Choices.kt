package org.levitmobile.demo

import android.app.Activity
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Spinner
import org.levitmobile.core.BundleSource

/** The three lists of the main screen; [onChange] is called when the user chose something else. */
internal class Choices(
    private val activity: Activity,
    private val sources: List<BundleSource>,
    private val onChange: () -> Unit
) {
    private val threads = (listOf(1, 2, 4, 8).filter { it <= Runtime.getRuntime().availableProcessors() })
    private var accelerators = listOf(Accelerator.CPU)
    private var chosen: Choice?

    /** Null: there is no bundle. */
    val current: Choice?
        get() {
            val source = sources.getOrNull(spinner(R.id.bundle).selectedItemPosition) ?: return null
            val accelerator = accelerators.getOrElse(spinner(R.id.accelerator).selectedItemPosition) { Accelerator.CPU }
            return Choice(source, accelerator, threads.getOrElse(spinner(R.id.threads).selectedItemPosition) { 1 })
        }

    init {
        fill(R.id.bundle, sources.map { it.name })
        fill(R.id.threads, threads.map { it.toString() })
        spinner(R.id.threads).setSelection(threads.indexOfLast { it <= USUAL })
        offerAll()
        chosen = current
        listOf(R.id.bundle, R.id.accelerator, R.id.threads).forEach { spinner(it).onItemSelectedListener = Chosen() }
    }

    /** What the device has for the bundle that was loaded. */
    fun offer(found: List<Accelerator>) {
        if (found == accelerators) return
        val before = current?.accelerator
        accelerators = found
        offerAll()
        spinner(R.id.accelerator).setSelection(found.indexOf(before).coerceAtLeast(0))
    }

    private fun offerAll() {
        fill(R.id.accelerator, accelerators.map { activity.getString(it.label) })
        spinner(R.id.accelerator).isEnabled = accelerators.size > 1
    }

    private fun fill(id: Int, names: List<String>) {
        spinner(id).adapter = ArrayAdapter(activity, R.layout.row_choice, names)
    }

    private fun spinner(id: Int): Spinner = activity.view(id)

    private inner class Chosen : AdapterView.OnItemSelectedListener {
        override fun onItemSelected(parent: AdapterView<*>, view: View?, position: Int, id: Long) {
            if (current == chosen) return // Android also tells of what was set by this app
            chosen = current
            onChange()
        }

        override fun onNothingSelected(parent: AdapterView<*>) = Unit
    }

    private companion object {
        const val USUAL = 4 // threads; phones have that many fast cores, as a rule
    }
}
