package org.levitmobile.core

import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream

/** `tests/golden/vectors`: what Python, Kotlin and Swift must meet alike. */
val VECTORS = File(System.getProperty("levit.vectors") ?: "../../tests/golden/vectors")

/** What is at a path of keys and indices. */
operator fun Json.get(vararg path: Any): Json = path.fold(this) { json, key ->
    if (key is Int) (json as Json.Arr).items[key] else (json as Json.Obj).entries.getValue(key as String)
}

val Json.items: List<Json> get() = (this as Json.Arr).items
val Json.string: String get() = (this as Json.Str).value
val Json.int: Int get() = (this as Json.Num).text.toInt()
val Json.double: Double get() = (this as Json.Num).text.toDouble()

/** The float32 whose bits are this whole number from 0 to 2^32 - 1. */
val Json.bits: Int get() = (this as Json.Num).text.toLong().toInt()

/** This JSON with something else at a path of keys; null takes the key away. */
fun Json.Obj.with(path: String, value: Any?): Json.Obj {
    val key = path.substringBefore('.')
    if (key == path) return Json.Obj(if (value == null) entries - key else entries + (key to Json.of(value)))
    return Json.Obj(entries + (key to (entries.getValue(key) as Json.Obj).with(path.substringAfter('.'), value)))
}

/** A bundle that is whole, of a model with 8 x 8 pixels and three classes; its artifact is no model. */
class MadeUp(private val folder: File, private val side: Int = 8) {
    val labels = listOf("tench", "church", "gas pump")
    val pictures = List(2) { n -> Picture(side, side, ByteArray(3 * side * side) { (it * (n + 3)).toByte() }) }
    val logits = listOf(floatArrayOf(1f, -2f, 0.5f), floatArrayOf(0f, 3f, -1f))
    val files = mutableMapOf("model.tflite" to ByteArray(1000) { it.toByte() }, "golden.npz" to npz())

    val manifest: Json.Obj
        get() =
            Json.of(
                mapOf(
                    "format" to 1,
                    "model" to mapOf("variant" to "levit_128s", "num_classes" to 3),
                    "artifact" to mapOf("file" to "model.tflite", "target" to "tflite", "precision" to "int8"),
                    "input" to port("image", listOf(1, side, side, 3), "layout" to "nhwc", "takes" to "normalised pixels"),
                    "output" to port("logits", listOf(1, 3)),
                    "preprocessing" to
                        mapOf(
                            "resize" to side + 2,
                            "crop" to side,
                            "mean" to listOf(0.485, 0.456, 0.406),
                            "std" to listOf(0.229, 0.224, 0.225),
                            "interpolation" to "bicubic"
                        ),
                    "labels" to labels,
                    "parity" to mapOf("max_abs" to 0.03, "passed" to true),
                    "files" to files.mapValues { (_, it) -> mapOf("bytes" to it.size, "sha256" to sha256(it)) }
                )
            ) as Json.Obj

    /** Write it, with a manifest that [edit] made, and the digest that belongs to that. */
    fun write(edit: (Json.Obj) -> Json.Obj = { it }): FolderSource {
        folder.mkdirs()
        files.forEach { (name, bytes) -> File(folder, name).writeBytes(bytes) }
        File(folder, Manifest.NAME).writeText(sealed(edit(manifest)))
        return FolderSource(folder)
    }

    private fun port(name: String, shape: List<Int>, vararg more: Pair<String, Any>) =
        mapOf("name" to name, "shape" to shape, "dtype" to "float32", *more)

    private fun npz(): ByteArray {
        val numbers = ByteBuffer.allocate(4 * logits.sumOf { it.size }).order(ByteOrder.LITTLE_ENDIAN)
        logits.forEach { row -> row.forEach(numbers::putFloat) }
        val pixels = pictures.map { it.bytes }.reduce(ByteArray::plus)
        val bytes = ByteArrayOutputStream()
        ZipOutputStream(bytes).use { zip ->
            zip.putNextEntry(ZipEntry("pixels.npy"))
            zip.write(npy("|u1", "(2, $side, $side, 3)", pixels))
            zip.putNextEntry(ZipEntry("logits.npy"))
            zip.write(npy("<f4", "(2, 3)", numbers.array()))
        }
        return bytes.toByteArray()
    }

    private fun npy(type: String, shape: String, data: ByteArray): ByteArray {
        val header = "{'descr': '$type', 'fortran_order': False, 'shape': $shape, }".padEnd(117) + "\n"
        val start = byteArrayOf(0x93.toByte()) + "NUMPY".encodeToByteArray() + byteArrayOf(1, 0, header.length.toByte(), 0)
        return start + header.encodeToByteArray() + data
    }
}

fun sealed(manifest: Json.Obj): String = manifest.with("digest", sha256(manifest.write().encodeToByteArray())).write(1)
