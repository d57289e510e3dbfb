"""Write what Python says of some numbers, for the Swift tests to meet: statistics, parity, golden inputs, DEFLATE.

python ios_demo/tools/swift_fixtures.py
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.bench.statistics import drift_of, summarise
from levit_mobile.bundle import Golden
from levit_mobile.evaluate import compare
from levit_mobile.quantize import PRECISIONS

FOLDER = Path(__file__).parents[1] / "LeViTCore/Tests/LeViTCoreTests/Fixtures"


def statistics() -> list[dict[str, Any]]:
    """Runs that are steady, that drift, that are too short to tell, and that a coarse clock measured."""
    rng = np.random.default_rng(7)
    steady = rng.normal(5, 0.05, 120)
    samples = {
        "one": np.array([3.5]),
        "two": np.array([3.0, 4.0]),
        "too short to tell": rng.normal(5, 0.05, 44),
        "five blocks": rng.normal(5, 0.05, 45),
        "eight blocks, slower": rng.normal(5, 0.05, 72) * np.linspace(1, 1.2, 72),
        "steady": steady,
        "slower": steady * np.linspace(1, 1.1, 120),
        "faster": steady * np.linspace(1.1, 1, 120),
        "slower, and it does not matter": rng.normal(5, 0.001, 120) * np.linspace(1, 1.02, 120),
        "a coarse clock": np.rint(rng.normal(5, 1, 200)),
        "always the same": np.full(90, 2.0),
        "late ones": steady + 4 * (rng.random(120) < 0.05),
    }
    found = []
    for name, values in samples.items():
        kept = [round(float(v), 6) for v in values]
        drift = drift_of(kept)
        summary = summarise(kept).to_dict()
        found.append({"name": name, "samples": kept, "summary": summary, "drift": drift and drift.to_dict()})
    return found


def parity() -> list[dict[str, Any]]:
    """Logits beside others, for each precision: near, at the border, far, toss-ups, and what is no number."""
    rng = np.random.default_rng(11)
    reference = rng.normal(0, 3, (4, 10)).astype(np.float32)
    noise = rng.normal(0, 1, (4, 10)).astype(np.float32)
    toss_up = reference.copy()
    toss_up[0, :2] = toss_up[0].max() + np.float32([0, 1e-3])
    swapped = toss_up.copy()
    swapped[0, :2] = swapped[0, [1, 0]]
    cases = {"the same": (reference, reference), "two that close are a toss-up": (toss_up, swapped)}
    cases |= {
        f"noise of {size:g}": (reference, reference + np.float32(size) * noise) for size in (1e-5, 1e-2, 0.1, 0.6, 3)
    }
    cases["all alike"] = (np.ones((2, 5), np.float32), np.ones((2, 5), np.float32))
    cases["the wrong way round"] = (reference, -reference)
    cases["one picture is wrong"] = (reference, np.concatenate([reference[:3], reference[3:, ::-1]]))
    found = []
    for name, (wanted, got) in cases.items():
        for precision in PRECISIONS:
            result = compare(wanted, got, PRECISIONS[precision].tolerance)
            found.append(
                {
                    "name": f"{name}, {precision}",
                    "precision": precision,
                    "reference": [[float(v) for v in row] for row in wanted],
                    "answers": [[float(v) for v in row] for row in got],
                    "max_abs": result.max_abs,
                    "cosine": result.cosine,
                    "agreement": result.agreement,
                    "passed": result.passed,
                }
            )
    return found


def golden() -> Golden:
    """Three pictures of 8 x 8 pixels and five classes, by formulas that the Swift test has too."""
    at = np.arange(3 * 8 * 8 * 3)
    pixels: npt.NDArray[np.uint8] = ((at * at * 7 + at * 3) % 251).astype(np.uint8).reshape(3, 8, 8, 3)
    return Golden(pixels, (np.arange(15, dtype=np.float32) * np.float32(0.25) - 1).reshape(3, 5))


def deflated() -> list[dict[str, Any]]:
    """Bytes as zlib packs them: stored, with the fixed code, with codes of their own, over the whole window."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, 3000, np.uint8).tobytes()
    words = b" ".join(rng.choice([b"tench", b"church", b"parachute", b"golf ball"], 800).tolist())
    texts = {
        "nothing": b"",
        "one byte": b"a",
        "a run": b"a" * 5000,
        "words": words,
        "noise": noise,
        "far apart": noise[:2000] + bytes(30000) + noise[:2000],
    }
    found = []
    for name, content in texts.items():
        for level, strategy in (
            (0, zlib.Z_DEFAULT_STRATEGY),
            (6, zlib.Z_FIXED),
            (9, zlib.Z_DEFAULT_STRATEGY),
            (6, zlib.Z_RLE),
        ):
            packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
            packed = packer.compress(content) + packer.flush()
            found.append(
                {
                    "name": f"{name}, level {level}, strategy {strategy}",
                    "packed": base64.b64encode(packed).decode(),
                    "size": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            )
    return found


def write(folder: Path) -> None:
    """All of them."""
    for name, rows in (("statistics", statistics()), ("parity", parity()), ("deflated", deflated())):
        text = json.dumps(rows, separators=(",", ":")).replace("},{", "},\n{")
        (folder / f"{name}.json").write_text(text + "\n")
    (folder / "golden.npz").write_bytes(golden().to_bytes())


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER)
    out: Path = parser.parse_args().out
    write(out)
    print(f"wrote into {out.name}/")


if __name__ == "__main__":
    main()
