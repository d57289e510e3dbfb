"""Wall time and peak memory of levit-export, a process of its own for each precision, and what came out.

    python benchmarks/export_cost.py

It measures the 10-class checkpoint in the package, and for the artifact's size LeViT-128S with 1000 classes and random
weights too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from results import FOLDER, write

from calib.ranges import fingerprint, measure_ranges
from levit_mobile.checkpoints import load_checkpoint, save_checkpoint
from levit_mobile.fuse import fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.quantize import PRECISIONS
from levit_mobile.variants import VARIANTS


def run(command: list[str], folder: Path) -> tuple[float, float]:
    """(seconds, peak resident MB) of one process."""
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.monotonic() - start, usage.ru_maxrss / (1 if sys.platform == "darwin" else 1024)


def thousand_classes(folder: Path) -> list[str]:
    """A checkpoint with 1000 classes and its ranges; the options that use them."""
    from calib.pictures import CalibrationSet

    torch.manual_seed(0)
    model = LeViT(VARIANTS["levit_128s"])
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1)  # some start at 0, and would leave nothing to export
            torch.nn.init.normal_(module.bias, std=0.1)
        if hasattr(module, "attention_biases"):
            torch.nn.init.normal_(module.attention_biases)  # tables that are all alike would be stored once
    save_checkpoint(folder / "thousand.safetensors", model.eval())
    checkpoint = load_checkpoint(folder / "thousand.safetensors")
    pictures = CalibrationSet(golden_pictures(224), "drawn")
    ranges = measure_ranges(
        fuse(checkpoint.model()), pictures, checkpoint.preprocessing, weights=fingerprint(checkpoint.state)
    )
    (folder / "thousand.json").write_text(ranges.to_json())
    return ["--weights", "thousand.safetensors", "--calib-data", "thousand.json"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="measure anew only the rows whose title has this in it")
    only = parser.parse_args().only
    stored = FOLDER / "export_cost.json"
    rows = json.loads(stored.read_text())["rows"] if only and stored.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [(f"10 classes, {p}", p, []) for p in PRECISIONS]
        cases.append(("1000 classes, int8", "int8", thousand_classes(folder)))
        for title, precision, options in cases:
            if only not in title:
                continue
            out = folder / title.replace(", ", "-").replace(" ", "-")
            command = [sys.executable, "-m", "levit_mobile", "export", "--target", "tflite"]
            seconds, peak = run([*command, "--precision", precision, "--out", str(out), *options], folder)
            manifest = json.loads((out / "manifest.json").read_text())
            rows[title] = {
                "seconds": round(seconds, 1),
                "peak_mb": round(peak),
                "artifact_bytes": manifest["files"]["model.tflite"]["bytes"],
                "operators": sum(manifest["operators"].values()),
                "xnnpack_parts": manifest["delegate"]["parts"],
                "operators_outside": sum(manifest["delegate"]["outside"].values()),
                "parity": manifest["parity"],
            }
            print(title, rows[title], flush=True)
    write("export_cost.json", {"rows": rows})


if __name__ == "__main__":
    main()
