package org.levitmobile.core

import java.security.MessageDigest

/** How the numbers of an input or output are stored. */
enum class DType(val id: String, val bytes: Int) {
    FLOAT32("float32", 4),
    INT8("int8", 1),
    UINT8("uint8", 1)
}

/** An input or output of the artifact; whole numbers q stand for `scale * (q - zeroPoint)`. */
data class Port(val name: String, val shape: List<Int>, val dtype: DType, val scale: Double, val zeroPoint: Int) {
    val count: Int get() = shape.fold(1, Int::times)
}

/** What the input's numbers are. */
enum class Takes(val id: String) {
    NORMALISED("normalised pixels"),
    PIXELS("pixels")
}

/** What is known of a file of the bundle. */
data class FileFacts(val bytes: Long, val sha256: String)

/**
 * `manifest.json` of a bundle, format 1: what `docs/bundle.md` describes, as far as an app needs it.
 *
 * [text] is the whole of it, for whoever needs more.
 */
class Manifest private constructor(val text: String, private val root: Entries) {
    val variant: String = root.at("model").string("variant")
    val artifact: String = root.at("artifact").string("file")
    val target: String = root.at("artifact").string("target")
    val precision: String = root.at("artifact").string("precision")
    val options: Json = root.at("artifact").json.entries["options"] ?: Json.Obj(emptyMap())
    val labels: List<String> = root.strings("labels")
    val preprocessing: Preprocessing = preprocessing(root.at("preprocessing"))
    val input: Port = root.at("input").port()
    val output: Port = root.at("output").port()
    val takes: Takes = root.at("input").choice("takes", Takes.entries, Takes::id)
    val channelsFirst: Boolean = root.at("input").choice("layout", listOf("nhwc", "nchw")) { it } == "nchw"
    val accuracy: Json = root.json.entries["accuracy"] ?: Json.Null
    val parity: Json = root.at("parity").json
    val files: Map<String, FileFacts> =
        root.at("files").let { files -> files.json.entries.keys.associateWith { files.at(it).facts() } }

    /**
     * Methods of an ExecuTorch program that take a picture and give logits, the one to try first: `forward_float16` is faster and
     * only loads on processors with half precision; `forward` loads on all.
     */
    val methods: List<String> = (root.at("artifact").optionalStrings("methods") ?: listOf("forward")).asReversed()

    private fun check() {
        if (artifact !in files || GOLDEN !in files) throw BundleException("$NAME: files lacks the artifact or $GOLDEN")
        for (name in files.keys) {
            val parts = name.split('/')
            if (name == NAME || '\\' in name || parts.any { it.isEmpty() || it == "." || it == ".." }) {
                throw BundleException("$NAME: files names one outside of the bundle: $name")
            }
        }
        val side = preprocessing.crop
        val wanted = if (channelsFirst) listOf(1, 3, side, side) else listOf(1, side, side, 3)
        if (methods.isEmpty()) throw BundleException("$NAME: artifact.methods is empty")
        if (input.shape != wanted) throw BundleException("$NAME: input.shape is ${input.shape}, expected $wanted")
        if (output.shape != listOf(1, labels.size)) {
            throw BundleException("$NAME: output.shape is ${output.shape} for ${labels.size} labels")
        }
        checkDigest()
    }

    /** Its own digest is taken of what it says, without the digest, in one line with sorted keys. */
    private fun checkDigest() {
        val bare = Json.Obj(root.json.entries - "digest").write()
        if (sha256(bare.encodeToByteArray()) != root.string("digest")) {
            throw CorruptBundleException("$NAME was edited: its digest is not that of what it says")
        }
    }

    companion object {
        const val NAME = "manifest.json"
        const val GOLDEN = "golden.npz"
        const val FORMAT = "1"

        /** @throws BundleException if [text] is no manifest of format 1, whole and as it was written */
        fun parse(text: String): Manifest {
            val json =
                try {
                    Json.parse(text)
                } catch (error: JsonException) {
                    throw BundleException("$NAME is no JSON (${error.message})", error)
                }
            if (json !is Json.Obj) throw BundleException("$NAME is no object")
            val format = (json.entries["format"] as? Json.Num)?.text
            if (format != FORMAT) {
                throw BundleException("$NAME has format ${format ?: "none"}; this app reads $FORMAT")
            }
            return Manifest(text, Entries(json, "")).also { it.check() }
        }
    }
}

private fun preprocessing(entries: Entries): Preprocessing {
    val given = entries.optionalString("interpolation") ?: "bicubic"
    if (given != "bicubic") throw BundleException("${Manifest.NAME}: interpolation $given is not supported")
    val (mean, std) = listOf("mean", "std").map { key -> entries.numbers(key) }
    return try {
        Preprocessing(entries.int("resize"), entries.int("crop"), mean, std)
    } catch (error: IllegalArgumentException) {
        throw BundleException("${Manifest.NAME}: preprocessing: ${error.message}", error)
    }
}

/** An object of the manifest, and where in it; what is missing or of another kind is told by its name. */
private class Entries(val json: Json.Obj, private val path: String) {
    fun at(key: String): Entries = Entries(typed<Json.Obj>(key, "an object"), "$path$key.")

    fun string(key: String): String = typed<Json.Str>(key, "a text").value

    fun optionalString(key: String): String? = if (key in json.entries) string(key) else null

    fun int(key: String): Int = typed<Json.Num>(key, "a number").text.toIntOrNull() ?: fail(key, "a whole number")

    fun double(key: String): Double = typed<Json.Num>(key, "a number").text.toDouble()

    fun optionalStrings(key: String): List<String>? = if (key in json.entries) strings(key) else null

    fun strings(key: String): List<String> =
        typed<Json.Arr>(key, "a list").items.map { (it as? Json.Str ?: fail(key, "a list of texts")).value }

    fun numbers(key: String): List<Double> =
        typed<Json.Arr>(key, "a list").items.map { (it as? Json.Num ?: fail(key, "a list of numbers")).text.toDouble() }

    fun <T> choice(key: String, all: List<T>, id: (T) -> String): T {
        val given = string(key)
        return all.find { id(it) == given } ?: fail(key, all.joinToString(" or ", transform = id))
    }

    fun port(): Port {
        val shape = numbers("shape").map { it.toInt() }
        if (shape.any { it < 1 } || shape.fold(1L) { all, side -> all * side } > MOST) fail("shape", "a shape")
        val dtype = choice("dtype", DType.entries, DType::id)
        if (dtype == DType.FLOAT32) return Port(string("name"), shape, dtype, 1.0, 0)
        val scale = double("scale")
        if (scale <= 0 || !scale.isFinite()) fail("scale", "a positive number")
        return Port(string("name"), shape, dtype, scale, int("zero_point"))
    }

    fun facts(): FileFacts {
        val size = typed<Json.Num>("bytes", "a number").text.toLongOrNull() ?: fail("bytes", "a whole number")
        val digest = string("sha256")
        if (!Regex("[0-9a-f]{64}").matches(digest)) fail("sha256", "64 hex digits")
        return FileFacts(size, digest)
    }

    private inline fun <reified T : Json> typed(key: String, kind: String): T {
        val value = json.entries[key] ?: throw BundleException("${Manifest.NAME} lacks $path$key")
        return value as? T ?: fail(key, kind)
    }

    private fun fail(key: String, kind: String): Nothing = throw BundleException("${Manifest.NAME}: $path$key is not $kind")

    private companion object {
        const val MOST = 1L shl 26 // numbers; no picture of ours comes near it
    }
}

internal fun sha256(bytes: ByteArray): String = MessageDigest.getInstance("SHA-256").digest(bytes).hex()

internal fun ByteArray.hex(): String = joinToString("") { "%02x".format(it) }
