"""Results of a bench that never was: made up, and yet as a Raspberry Pi 5 would give them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from levit_mobile.bench.result import Results
from levit_mobile.bench.statistics import drift_of, ratio_of, summarise

Json = dict[str, Any]

PI: Json = {
    "kind": "board",
    "name": "pi@raspberrypi.local",
    "facts": {
        "model": "Raspberry Pi 5 Model B Rev 1.0",
        "machine": "aarch64",
        "midr": "0x414fd0b1",
        "cpu": "Cortex-A76",
        "features": ["fp", "asimd", "asimdhp", "asimddp"],
        "cores": 4,
        "kernel": "6.6.51+rpt-rpi-2712",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "memory_mb": 8063,
        "governor": "ondemand",
        "python": "3.11.2",
    },
}
HOST: Json = {"kind": "host", "name": "this machine", "facts": {"machine": "x86_64", "cores": 2, "features": ["avx2"]}}
EMULATED: Json = {"kind": "emulated", "name": "cortex-a76", "facts": {"machine": "aarch64", "cores": 2}}

# variant -> (ms in fp32 on one thread, bytes in fp32, top-1)
MODELS = {
    "levit_128s": (15.9, 31_470_000, 0.9205),
    "levit_192": (33.4, 44_010_000, 0.9365),
    "levit_256": (58.8, 75_980_000, 0.9510),
}
INT8 = 0.41  # of the time, and about a quarter of the bytes


def artifact(variant: str = "levit_128s", precision: str = "int8", target: str = "tflite", **more: Any) -> Json:
    _, size, top1 = MODELS[variant]
    int8 = precision == "int8"
    share = round(top1 - 0.003 * int8, 4)
    return {
        "bundle": f"{variant}-{precision}-{target}",
        "target": target,
        "variant": variant,
        "precision": precision,
        "options": {},
        "sha256": hashlib.sha256(f"{variant} {precision} {target}".encode()).hexdigest(),
        "bytes": round(size * (0.262 if int8 else 1)),
        "classes": 10,
        "accuracy": {
            "top1": {"share": share, "interval95": [round(share - 0.013, 4), round(share + 0.011, 4)]},
            "samples": 1938,
        },
        "parity": {"max_abs": 0.03 if int8 else 1e-6, "agreement": 1.0, "cosine": 0.999, "samples": 16, "passed": True},
        **more,
    }


def samples(median: float, count: int = 300, seed: int = 0) -> list[float]:
    """A narrow hill, a smaller one above it, and a few late ones."""
    rng = np.random.default_rng(seed)
    ms = rng.normal(1, 0.008, count) + 0.045 * (rng.random(count) < 0.12) + rng.exponential(0.006, count)
    ms[rng.random(count) < 0.02] *= 1.25
    return [round(float(v), 6) for v in ms * median / np.median(ms)]


def health(start: float, count: int = 6, *, hot: bool = False) -> list[Json]:
    rise = [start + 2.0 * i for i in range(count)]
    warm = [48 + 16 * (1 - np.exp(-s / 90)) + (21 * i / count if hot else 0) for i, s in enumerate(rise)]
    return [
        {
            "seconds": round(s, 2),
            "temperature_c": round(float(t), 1),
            "mhz": 1500 if hot and t > 75 else 2400,
            "throttled": 6 if hot and t > 75 else 0,
            "foreign_cores": 0.02,
            "swapped": 0,
        }
        for s, t in zip(rise, warm, strict=True)
    ]


def profile(total: float, *, int8: bool = True) -> list[Json]:
    shares = {"CONV_2D": 0.31, "FULLY_CONNECTED": 0.34, "BATCH_MATMUL": 0.12, "SOFTMAX": 0.06, "HARD_SWISH": 0.05}
    shares |= {"TRANSPOSE": 0.04, "RESHAPE": 0.02, "ADD": 0.025, "MEAN": 0.005} | ({"QUANTIZE": 0.03} if int8 else {})
    return [
        {"operator": name, "name": f"{name.lower()}_{at}", "ms": round(total * share / 2, 5)}
        for name, share in shares.items()
        for at in range(2)
    ]


def run(
    made: Json | None = None,
    where: Json | None = None,
    *,
    ms: float = 6.3,
    threads: int = 1,
    seed: int = 0,
    **more: Any,
) -> Json:
    taken = samples(ms, seed=seed)
    drift = drift_of(taken)
    return {
        "artifact": made or artifact(),
        "where": where or PI,
        "runtime": {"name": "ai-edge-litert", "version": "2.3.0"},
        "threads": threads,
        "load_ms": round(ms * 4.1, 2),
        "first_ms": round(ms * 1.6, 3),
        "samples_ms": taken,
        "summary": summarise(taken).to_dict(),
        "drift": drift and drift.to_dict(),
        "peak_mb": round(28 + (made or artifact())["bytes"] / 1e6 * 1.7, 1),
        "before_mb": 27.5,
        "health": [],
        "invalid": [],
        "complete": True,
        **more,
    }


def count(made: Json, total: float) -> Json:
    int8 = made["precision"] == "int8"
    shares = {"simd": 0.21, "dot": 0.33, "load_store": 0.27, "branch": 0.05, "other": 0.14}
    shares = shares if int8 else {"simd": 0.62, "dot": 0.0, "load_store": 0.27, "branch": 0.03, "other": 0.08}
    return {
        "artifact": made,
        "cpu": "cortex-a76",
        "total": round(total),
        "classes": {name: round(total * share) for name, share in shares.items()},
        "operators": [
            {"operator": row["operator"], "name": row["name"], "instructions": round(row["ms"] * 1e6)}
            for row in profile(total / 1e6, int8=int8)
        ],
        "repeatability": 0.00002,
        "runtime": {"name": "ai-edge-litert", "version": "2.3.0"},
    }


def about(**more: Any) -> Json:
    settings = {"threads": [1, 4], "warmup_runs": 10, "warmup_s": 0.5, "min_runs": 100, "min_s": 3.0, "cooldown_s": 2.0}
    return {"created": "2026-03-04T05:06:07Z", "tool": "0.1.0", "settings": {**settings, "governor": None}, **more}


def night(faster: float = 1.0, seed: int = 0) -> Results:
    """Three variants in fp32 and int8 on one and four threads of a board, one too hot, one emulated, two on a host."""
    results = Results(about())
    clock = 0.0
    for threads in (1, 4):
        for variant, (ms, _, _) in MODELS.items():
            for precision in ("fp32", "int8"):
                made = artifact(variant, precision)
                took = ms * (INT8 if precision == "int8" else 1) * (0.42 if threads == 4 else 1)
                took *= faster if precision == "int8" else 1
                seed += 1
                row = run(made, ms=took, threads=threads, seed=seed, health=health(clock))
                if (variant, precision, threads) == ("levit_256", "fp32", 4):
                    row["health"] = health(clock, hot=True)
                    row["invalid"] = [
                        "the board was throttled: its clock is capped, it is throttled; mind its power supply and cooling"
                    ]
                if threads == 1 and variant == "levit_128s":
                    row["profile"] = profile(took, int8=precision == "int8")
                results.runs.append(row)
                clock += 14
            pair = [artifact(variant, p) for p in ("fp32", "int8")]
            turns = [samples(v, 120, seed + 50) for v in (ms, ms * INT8 * faster)]
            results.ratios.append(
                {"base": pair[0], "other": pair[1], "where": PI, "threads": threads, **ratio_of(*turns).to_dict()}
            )
    pte = artifact("levit_128s", "int8", "executorch", options={"delegate": "xnnpack"})
    results.runs.append(
        run(pte, ms=6.9, seed=90, runtime={"name": "executorch", "version": "1.4.0"}, health=health(clock))
    )
    for precision, ms in (("fp32", 8.8), ("int8", 5.2)):
        results.runs.append(run(artifact("levit_128s", precision), HOST, ms=ms, seed=91))
    results.runs.append(run(artifact(), EMULATED, ms=471.11, load_ms=4711.1, first_ms=47.11))
    for variant, (ms, _, _) in MODELS.items():
        for precision, share in (("fp32", 1.0), ("int8", 0.39 * faster)):
            results.counts.append(count(artifact(variant, precision), ms * share * 7.5e6))
    shares = {"top1": 0.9174, "top5": 0.9948, "agreement": 0.9866}
    told = {name: {"share": v, "interval95": [v - 0.012, min(1.0, v + 0.005)]} for name, v in shares.items()}
    results.accuracy.append({"artifact": artifact(), "where": PI, "samples": 1938, "max_abs": 0.031, **told})
    return results
