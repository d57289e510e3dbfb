package org.levitmobile.demo

import android.app.ActivityManager
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import android.os.SystemClock
import java.io.File
import java.io.IOException
import org.levitmobile.core.Health
import org.levitmobile.core.Phone

/** What the phone is: what stays as it is while a benchmark runs, under the names that results have. */
internal fun phoneFacts(context: Context): Map<String, Any?> {
    val memory = ActivityManager.MemoryInfo()
    (context.getSystemService(Context.ACTIVITY_SERVICE) as ActivityManager).getMemoryInfo(memory)
    return mapOf(
        "model" to "${Build.MANUFACTURER} ${Build.MODEL}",
        "machine" to System.getProperty("os.arch"),
        "midr" to read("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1"),
        "cpu" to (chip() ?: Build.HARDWARE),
        "features" to features(),
        "cores" to Runtime.getRuntime().availableProcessors(),
        "memory_mb" to (memory.totalMem shr 20),
        "governor" to read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "os" to "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})",
        "kernel" to System.getProperty("os.version")
    )
}

/** The chip's maker and name, which Android tells from version 12 on. */
private fun chip(): String? = if (Build.VERSION.SDK_INT < 31) {
    null
} else {
    listOf("SOC_MANUFACTURER", "SOC_MODEL").joinToString(" ") { Build::class.java.getField(it).get(null) as String }
}

private fun features(): List<String> {
    val lines = read("/proc/cpuinfo").orEmpty().lines()
    return lines.find { it.startsWith("Features") }?.substringAfter(':')?.trim()?.split(' ').orEmpty()
}

private fun read(path: String): String? = try {
    File(path).readText().trim()
} catch (_: IOException) { // many phones keep this from apps
    null
}

/** What the phone tells of itself while a benchmark runs. */
internal class ThisPhone(private val context: Context, private val inFront: () -> Boolean) : Phone {
    private val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
    private val start = SystemClock.elapsedRealtime()

    override fun health(): Health = Health(
        seconds = (SystemClock.elapsedRealtime() - start) / 1000.0,
        temperature = batteryTemperature(),
        mhz = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")?.toIntOrNull()?.div(1000),
        thermalStatus = thermalStatus(),
        powerSaving = power.isPowerSaveMode,
        inFront = inFront()
    )

    /** In units of 10^6 bytes, as `levit bench` tells it. */
    override fun peakMb(): Double? {
        val line = read("/proc/self/status").orEmpty().lines().find { it.startsWith("VmHWM:") } ?: return null
        return line.filter(Char::isDigit).toDoubleOrNull()?.times(1024 / 1e6)
    }

    private fun batteryTemperature(): Double? {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED)) ?: return null
        val tenths = battery.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, Int.MIN_VALUE)
        return if (tenths == Int.MIN_VALUE) null else tenths / 10.0
    }

    /** Of Android 10, and called by its name so that this also compiles against older ones. */
    private fun thermalStatus(): Int? = if (Build.VERSION.SDK_INT < 29) {
        null
    } else {
        PowerManager::class.java.getMethod("getCurrentThermalStatus").invoke(power) as Int
    }
}
