package org.levitmobile.demo

import android.app.Activity
import android.view.View

// Android's own findViewById has a type from version 8 on only; these also compile against older ones.

internal inline fun <reified T : View> Activity.view(id: Int): T {
    val found: View = findViewById(id)
    return found as T
}

internal inline fun <reified T : View> View.view(id: Int): T {
    val found: View = findViewById(id)
    return found as T
}
