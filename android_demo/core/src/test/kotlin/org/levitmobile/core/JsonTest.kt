package org.levitmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class JsonTest {
    @Test
    fun everyKind() {
        val text = """ {"a": [1, -0.5e+3, true, false, null, "x"], "b": {}, "c": []} """
        val json = Json.parse(text)
        assertEquals("""{"a":[1,-0.5e+3,true,false,null,"x"],"b":{},"c":[]}""", json.write())
        assertEquals(-500.0, json["a", 1].double, 0.0)
    }

    @Test
    fun keysAreSorted() = assertEquals("""{"a":1,"b":{"c":2,"d":3}}""", Json.parse("""{"b":{"d":3,"c":2},"a":1}""").write())

    @Test
    fun asPythonIndents() =
        assertEquals("{\n \"a\": [\n  1,\n  2\n ],\n \"b\": {}\n}", Json.parse("""{"a":[1,2],"b":{}}""").write(indent = 1))

    @Test
    fun escapes() {
        val json = Json.parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\u20ac\"")
        assertEquals("\"\\/\b\u000c\n\r\té\ud83d\ude00€", json.string)
        assertEquals("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\u20ac\"", json.write())
        assertEquals("\"\\u0001\\u007f\"", Json.Str("\u0001\u007f").write())
    }

    @Test
    fun whatIsNoJson() {
        val words = listOf("", " ", "NaN", "Infinity", "tru", "nul", "'a'", "1 2", "// c\n1")
        val lists = listOf("[", "[1", "[1,]", "[1] x", nested(34), nested(10_000))
        val objects = listOf("{", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{\"a\":1 \"b\":2}", "{\"a\":1,\"a\":2}")
        val numbers = listOf("01", "1.", ".5", "+1", "-", "1e")
        val strings = listOf("\"a", "\"\\x\"", "\"\\u12g4\"", "\"\\u12\"", "\"a\nb\"")
        val bad = words + lists + objects + numbers + strings
        for (text in bad) {
            val error = assertThrows(text, JsonException::class.java) { Json.parse(text) }
            assertTrue(error.message, error.message!!.startsWith("letter "))
        }
    }

    @Test
    fun howDeepItGoes() {
        assertEquals(nested(33), Json.parse(nested(33)).write())
    }

    @Test
    fun whatKotlinHas() {
        val json = Json.of(
            mapOf("a" to listOf(1, 2L, 1.5, 2f), "b" to null, "c" to doubleArrayOf(0.25), "d" to "x", "e" to false)
        )
        assertEquals("""{"a":[1,2,1.5,2.0],"b":null,"c":[0.25],"d":"x","e":false}""", json.write())
        assertThrows(IllegalArgumentException::class.java) { Json.of(Double.NaN) }
        assertThrows(IllegalArgumentException::class.java) { Json.of(Any()) }
    }

    private fun nested(levels: Int) = "[".repeat(levels) + "]".repeat(levels)
}
