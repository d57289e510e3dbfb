"""Top-1 of the checkpoint in the package on a labelled folder, and agreement with PyTorch, for every bundle.

python benchmarks/accuracy.py --data imagenette/val levit_128s-fp32-tflite levit_128s-int8-tflite
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from bundles import open_bundles
from results import add_results_option, write

from levit_mobile.checkpoints import Checkpoint
from levit_mobile.cli.console import guarded
from levit_mobile.datasets import find_labelled
from levit_mobile.evaluate import Model, count_right
from levit_mobile.preprocess import normalise
from levit_mobile.runtimes import open_runtime
from levit_mobile.weights import resolve_weights


@dataclass(frozen=True)
class Examination:
    """Labelled pictures, read once, and PyTorch's logits for them; all in batches."""

    parts: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]
    reference: list[npt.NDArray[np.float32]]

    def __len__(self) -> int:
        return sum(len(labels) for _, labels in self.parts)

    def pytorch(self) -> Model:
        """A model that gives PyTorch's logits, batch by batch, once."""
        said = iter(self.reference)
        return lambda pixels: next(said)

    def of(self, model: Model) -> dict[str, Any]:
        """How often the model is right and how often it agrees with PyTorch, with intervals."""
        counts = count_right(model, iter(self.parts), reference=self.pytorch()).to_dict()
        return {name: counts[name] for name in ("top1", "agreement")}


def examination(data: Path, checkpoint: Checkpoint) -> Examination:
    """Read the pictures and ask PyTorch, float32.

    Raises:
        UsageError: the folders do not match the checkpoint's classes.
    """
    spec, model = checkpoint.preprocessing, checkpoint.model()
    parts = list(find_labelled(data, list(checkpoint.labels or ())).batches(spec, 32))
    with torch.inference_mode():
        return Examination(parts, [model(torch.from_numpy(normalise(pixels, spec))).numpy() for pixels, _ in parts])


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundles", type=Path, nargs="+", help="made from the demo weights")
    options.add_argument("--data", type=Path, required=True, help="labelled pictures: one folder a class")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    checkpoint = resolve_weights("demo")
    bundles = open_bundles(args.bundles, checkpoint)
    exam = examination(args.data, checkpoint)
    rows = {"PyTorch fp32": exam.of(exam.pytorch())}
    for name, bundle in bundles.items():
        rows[name] = exam.of(open_runtime(bundle, threads=2).logits)
        print(f"{name}: top-1 {rows[name]['top1']['share']:.2%}, agreement {rows[name]['agreement']['share']:.2%}")
    write(args.results, "accuracy.json", checkpoint.sha256, {"pictures": len(exam), "rows": rows})


if __name__ == "__main__":
    with guarded():
        main()
