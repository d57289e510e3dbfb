package org.levitmobile.core

/**
 * JSON as RFC 8259 has it, strictly: no comments, no trailing commas, no key twice.
 *
 * Android has org.json, the JVM has not, and this module is to run on both. A number keeps its spelling, so that what was
 * read can be written again to the byte: a manifest's digest is taken of its text.
 */
sealed interface Json {
    data object Null : Json

    data class Bool(val value: Boolean) : Json

    data class Num(val text: String) : Json

    data class Str(val value: String) : Json

    data class Arr(val items: List<Json>) : Json

    data class Obj(val entries: Map<String, Json>) : Json

    companion object {
        /** @throws JsonException if [text] is no JSON */
        fun parse(text: String): Json = JsonReader(text).whole()

        /** Maps, lists, strings, numbers, booleans and null, as JSON. */
        fun of(value: Any?): Json = when (value) {
            null -> Null
            is Json -> value
            is Boolean -> Bool(value)
            is String -> Str(value)
            is Float -> of(value.toDouble())
            is Double -> Num(value.also { require(it.isFinite()) { "JSON has no $it" } }.toString())
            is Number -> Num(value.toString())
            is Map<*, *> -> Obj(value.entries.associate { (key, entry) -> key as String to of(entry) })
            is Iterable<*> -> Arr(value.map(::of))
            is DoubleArray -> Arr(value.map(::of))
            is FloatArray -> Arr(value.map(::of))
            else -> throw IllegalArgumentException("JSON has no ${value::class.java.name}")
        }
    }
}

/** What is wrong with a JSON text, and at which letter. */
class JsonException(message: String) : Exception(message)

/** A level takes six calls, and a thread's stack may have 1 MB only; a manifest has three levels, results have six. */
private const val DEEPEST = 32

private class JsonReader(private val text: String) {
    private var at = 0

    fun whole(): Json {
        val value = value(0)
        blanks()
        if (at < text.length) fail("something follows the value")
        return value
    }

    private fun value(depth: Int): Json {
        if (depth > DEEPEST) fail("nested more than $DEEPEST deep")
        blanks()
        return when (val letter = peek()) {
            '{' -> obj(depth)
            '[' -> arr(depth)
            '"' -> Json.Str(string())
            't' -> word("true", Json.Bool(true))
            'f' -> word("false", Json.Bool(false))
            'n' -> word("null", Json.Null)
            else -> if (letter == '-' || letter in '0'..'9') number() else fail("unexpected $letter")
        }
    }

    private fun obj(depth: Int): Json {
        val entries = LinkedHashMap<String, Json>()
        members('}') {
            if (peek() != '"') fail("a key is expected")
            val key = string()
            blanks()
            expect(':')
            if (entries.put(key, value(depth + 1)) != null) fail("the key \"$key\" is there twice")
        }
        return Json.Obj(entries)
    }

    private fun arr(depth: Int): Json {
        val items = ArrayList<Json>()
        members(']') { items += value(depth + 1) }
        return Json.Arr(items)
    }

    private fun members(end: Char, member: () -> Unit) {
        at++
        blanks()
        if (peek() == end) {
            at++
            return
        }
        while (true) {
            blanks()
            member()
            blanks()
            if (peek() == end) {
                at++
                return
            }
            expect(',')
        }
    }

    private fun number(): Json {
        val match = NUMBER.matchAt(text, at) ?: fail("this is no number")
        at = match.range.last + 1
        return Json.Num(match.value)
    }

    private fun string(): String {
        at++
        val out = StringBuilder()
        while (true) {
            when (val letter = next()) {
                '"' -> return out.toString()
                '\\' -> out.append(escaped())
                else -> if (letter < ' ') fail("a control character in a string") else out.append(letter)
            }
        }
    }

    private fun escaped(): Char = when (val letter = next()) {
        '"', '\\', '/' -> letter

        'b' -> '\b'

        'f' -> '\u000c'

        'n' -> '\n'

        'r' -> '\r'

        't' -> '\t'

        'u' -> {
            val digits = (1..4).map { next() }.joinToString("")
            if (!digits.all { it.isDigit() || it.lowercaseChar() in 'a'..'f' }) fail("\\u wants four hex digits")
            digits.toInt(16).toChar()
        }

        else -> fail("no such escape: \\$letter")
    }

    private fun word(word: String, value: Json): Json {
        if (!text.startsWith(word, at)) fail("unexpected ${text[at]}")
        at += word.length
        return value
    }

    private fun blanks() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else fail("the text ends too early")

    private fun next(): Char = peek().also { at++ }

    private fun expect(letter: Char) {
        if (peek() != letter) fail("$letter is expected")
        at++
    }

    private fun fail(what: String): Nothing = throw JsonException("letter ${at + 1}: $what")

    private companion object {
        val NUMBER = Regex("-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
    }
}

/** Keys sorted, as `json.dumps(sort_keys=True)` has them; [indent] null: everything in one line without blanks. */
fun Json.write(indent: Int? = null): String = StringBuilder().also { write(it, indent, 0) }.toString()

private fun Json.write(out: StringBuilder, indent: Int?, depth: Int) {
    fun <T> members(brackets: String, items: Collection<T>, each: (T) -> Unit) {
        out.append(brackets[0])
        items.forEachIndexed { index, item ->
            if (index > 0) out.append(',')
            if (indent != null) out.append('\n').append(" ".repeat(indent * (depth + 1)))
            each(item)
        }
        if (indent != null && items.isNotEmpty()) out.append('\n').append(" ".repeat(indent * depth))
        out.append(brackets[1])
    }
    when (this) {
        Json.Null -> out.append("null")

        is Json.Bool -> out.append(value)

        is Json.Num -> out.append(text)

        is Json.Str -> out.quoted(value)

        is Json.Arr -> members("[]", items) { it.write(out, indent, depth + 1) }

        is Json.Obj ->
            members("{}", entries.keys.sorted()) { key ->
                out.quoted(key).append(if (indent == null) ":" else ": ")
                entries.getValue(key).write(out, indent, depth + 1)
            }
    }
}

private fun StringBuilder.quoted(text: String): StringBuilder {
    append('"')
    for (letter in text) {
        when {
            letter == '"' || letter == '\\' -> append('\\').append(letter)
            letter == '\n' -> append("\\n")
            letter == '\r' -> append("\\r")
            letter == '\t' -> append("\\t")
            letter == '\b' -> append("\\b")
            letter == '\u000c' -> append("\\f")
            letter < ' ' || letter > '~' -> append("\\u").append(letter.code.toString(16).padStart(4, '0'))
            else -> append(letter)
        }
    }
    return append('"')
}
