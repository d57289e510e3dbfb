package org.levitmobile.core

/** JSON that `levit report` reads: `levit_mobile/bench/result.py`, format 1. */
object Results {
    private const val FORMAT = 1

    /**
     * @param created ISO 8601, UTC
     * @param tool what measured, with its version
     * @param place name and facts of the phone, as results have them: `model`, `machine`, `cores`, `memory_mb`, `os` ...
     */
    fun json(runs: List<BenchmarkRun>, created: String, tool: String, placeName: String, place: Map<String, Any?>): String {
        val where = mapOf("kind" to "android", "name" to placeName, "facts" to place)
        val whole =
            mapOf(
                "format" to FORMAT,
                "kind" to "levit-bench",
                "about" to
                    mapOf("created" to created, "tool" to tool, "settings" to runs.firstOrNull()?.settings?.json()),
                "runs" to runs.map { run(it, where) },
                "ratios" to emptyList<Any>(),
                "counts" to emptyList<Any>(),
                "accuracy" to emptyList<Any>()
            )
        return Json.of(whole).write(indent = 1) + "\n"
    }

    private fun run(run: BenchmarkRun, where: Map<String, Any?>): Map<String, Any?> = mapOf(
        "artifact" to artifact(run),
        "where" to where,
        "runtime" to mapOf("name" to run.runtime.first, "version" to run.runtime.second),
        "threads" to run.settings.threads,
        "load_ms" to run.loadMs.rounded(3),
        "first_ms" to run.firstMs,
        "samples_ms" to run.samplesMs,
        "summary" to run.summary?.json(),
        "drift" to run.drift?.json(),
        "before_mb" to run.beforeMb?.rounded(1),
        "peak_mb" to run.peakMb?.rounded(1),
        "health" to run.health.map { it.json() },
        "invalid" to run.invalid,
        "notes" to emptyList<String>(),
        "wrong" to !run.parity.passed,
        "complete" to run.complete
    )

    private fun artifact(run: BenchmarkRun): Map<String, Any?> {
        val facts = run.manifest.files.getValue(run.manifest.artifact)
        return mapOf(
            "bundle" to run.bundle,
            "target" to run.manifest.target,
            "variant" to run.manifest.variant,
            "precision" to run.manifest.precision,
            "options" to run.manifest.options,
            "sha256" to facts.sha256,
            "bytes" to facts.bytes,
            "classes" to run.manifest.labels.size,
            "accuracy" to run.manifest.accuracy,
            "parity" to run.manifest.parity
        )
    }
}
