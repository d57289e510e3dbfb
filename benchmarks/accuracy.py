"""Top-1 of the bundled checkpoint on a labelled folder, for every precision, beside PyTorch.

    python benchmarks/accuracy.py --data imagenette/val --bundles DIR

DIR holds bundles made by: levit-export --target tflite --int8 --precision fp32 --precision fp16 --precision int8-dynamic
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from results import write

from levit_mobile.bundle import open_bundle
from levit_mobile.datasets import find_labelled
from levit_mobile.evaluate import wilson_interval
from levit_mobile.preprocess import normalise
from levit_mobile.runtimes import open_runtime
from levit_mobile.weights import resolve_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundles", type=Path, required=True)
    args = parser.parse_args()

    checkpoint = resolve_weights("demo")
    pictures = find_labelled(args.data, list(checkpoint.labels or ()))
    parts = list(pictures.batches(checkpoint.preprocessing, 32))
    truth = np.concatenate([labels for _, labels in parts])
    model = checkpoint.model()
    with torch.inference_mode():
        said = [model(torch.from_numpy(normalise(x, checkpoint.preprocessing))).numpy() for x, _ in parts]
    reference = np.concatenate(said)

    def row(logits: np.ndarray) -> dict[str, object]:
        right, same = int((logits.argmax(1) == truth).sum()), int((logits.argmax(1) == reference.argmax(1)).sum())
        low, high = wilson_interval(right, len(truth))
        return {
            "top1": round(right / len(truth), 5),
            "interval95": [round(low, 5), round(high, 5)],
            "agreement": round(same / len(truth), 5),
        }

    rows = {"PyTorch fp32": row(reference)}
    for folder in sorted(p.parent for p in args.bundles.glob("*/manifest.json")):
        bundle = open_bundle(folder)
        runtime = open_runtime(bundle, threads=2)
        logits = np.concatenate([runtime.logits(x) for x, _ in parts])
        rows[f"{bundle.manifest['artifact']['target']} {bundle.manifest['artifact']['precision']}"] = row(logits)
    write("accuracy.json", {"pictures": len(truth), "checkpoint": checkpoint.sha256, "rows": rows})
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
