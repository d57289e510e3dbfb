"""Executed instructions of one inference on emulated ARM processors: of this toolkit's artifacts, and of others' for comparison.

    python benchmarks/instructions.py
    python benchmarks/instructions.py --peer mobilenet_v2_int8.tflite

LeViT-128S with 1000 classes and random weights, whose values cost nothing. The others are the official form of the same
model through each converter as it comes, and any ``.tflite`` of one picture. It needs what `levit bench` needs for counting.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from results import add_results_option, write

from levit_mobile.bench.guest import CPUS
from levit_mobile.bench.instructions import count
from levit_mobile.bench.operators import count_operators
from levit_mobile.cli.console import guarded
from levit_mobile.errors import ExportError, UsageError
from levit_mobile.quantize import PRECISIONS
from levit_mobile.weights import resolve_weights

_CPUS = ("cortex-a76", "cortex-a72")
_TARGETS = ("tflite", "executorch")
_PRECISIONS = ("fp32", "fp16", "int8", "int8-dynamic")
_FILE = {"tflite": "model.tflite", "executorch": "model.pte"}


def export(folder: Path, kinds: Collection[tuple[str, str]]) -> None:
    """This toolkit's artifacts of these targets and precisions, as bundles below ``folder``."""
    targets = [part for name in _TARGETS if name in {t for t, _ in kinds} for part in ("--target", name)]
    precisions = [part for name in _PRECISIONS if name in {p for _, p in kinds} for part in ("--precision", name)]
    weights = ["--weights", "thousand.safetensors"]
    if any(PRECISIONS[precision].needs_ranges for _, precision in kinds):
        weights += ["--calib-data", "thousand.json"]  # which the others refuse
    command = [sys.executable, "-m", "levit_mobile", "export", *targets, *precisions, *weights]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"{' '.join(command)}: ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def official(folder: Path) -> Any:
    """The model as the official code runs it: BatchNorm folded (its ``replace_batchnorm``), bias tables looked up once."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

    from levit_mobile.checkpoints import load_checkpoint
    from levit_mobile.model import BNLinear, ConvBN, LinearBN

    def fold(module: nn.Module) -> None:
        for name, child in module.named_children():
            if isinstance(child, ConvBN):
                setattr(module, name, fuse_conv_bn_eval(child.c, child.bn))
            elif isinstance(child, LinearBN):
                setattr(module, name, fuse_linear_bn_eval(child.c, child.bn))
            elif isinstance(child, BNLinear):
                scale = child.bn.weight / (child.bn.running_var + child.bn.eps).sqrt()
                shift = child.bn.bias - scale * child.bn.running_mean
                linear = nn.Linear(child.l.in_features, child.l.out_features)
                linear.weight = nn.Parameter((child.l.weight * scale).detach())
                linear.bias = nn.Parameter((child.l.weight @ shift + child.l.bias).detach())
                setattr(module, name, linear)
            else:
                fold(child)
        if hasattr(module, "attention_bias_idxs"):
            bias = module.attention_biases[:, module.attention_bias_idxs]
            del module.attention_bias_idxs
            module.attention_bias_idxs, module.attention_biases = slice(None), nn.Parameter(bias.detach())

    model = load_checkpoint(folder / "thousand.safetensors").model()
    fold(model)
    return model.eval()


def litert(folder: Path) -> Path:
    """litert-torch, nothing set."""
    import litert_torch
    import torch

    file = folder / "litert_torch.tflite"
    if not file.exists():
        litert_torch.convert(official(folder), (torch.zeros(1, 3, 224, 224),)).export(str(file))
    return file


def quantised(recipe: str) -> Callable[[Path], Path]:
    """ai-edge-quantizer with one of its own recipes, on what litert-torch gave."""

    def make(folder: Path) -> Path:
        import numpy as np
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_quantizer import quantizer
        from ai_edge_quantizer import recipe as recipes

        from levit_mobile.golden import golden_pictures
        from levit_mobile.preprocess import Preprocessing, normalise

        source, file = litert(folder), folder / f"{recipe}.tflite"
        worker = quantizer.Quantizer(str(source), getattr(recipes, recipe)())
        ranges = None
        if worker.need_calibration:
            ((signature, about),) = Interpreter(str(source)).get_signature_list().items()
            pictures = normalise(golden_pictures(224), Preprocessing())
            batches = [{about["inputs"][0]: np.ascontiguousarray(picture[None])} for picture in pictures]
            ranges = worker.calibrate({signature: batches})
        file.write_bytes(worker.quantize(ranges).quantized_model)
        return file

    return make


def executorch(folder: Path) -> Path:
    """ExecuTorch's XNNPACK partitioner, nothing set."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(official(folder), (torch.zeros(1, 3, 224, 224),))
    file = folder / "executorch.pte"
    file.write_bytes(to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)
    return file


def onnx(folder: Path) -> Path:
    """PyTorch's ONNX exporter, nothing set."""
    import torch

    file = folder / "official.onnx"
    torch.onnx.export(
        official(folder), (torch.zeros(1, 3, 224, 224),), str(file), dynamo=True, external_data=False, verbose=False
    )
    return file


OTHERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "litert-torch fp32": ("tflite", litert),
    "ai-edge-quantizer static_wi8_ai8": ("tflite", quantised("static_wi8_ai8")),
    "ai-edge-quantizer dynamic_wi8_afp32": ("tflite", quantised("dynamic_wi8_afp32")),
    "ExecuTorch fp32": ("executorch", executorch),
    "ONNX Runtime fp32": ("onnx", onnx),
}


def own_rows() -> dict[str, tuple[str, str]]:
    """{name of a row: (target, precision)} of this toolkit."""
    return {f"{target} {name}": (target, name) for target in _TARGETS for name in _PRECISIONS}


Others = Mapping[str, tuple[str, Callable[[Path], Path]]]


def made(folder: Path, chosen: Collection[str], others: Others = OTHERS) -> Iterator[tuple[str, str, Path]]:
    """(name of a row, target, artifact), each made in ``folder`` when its turn comes; this toolkit's at once."""
    own = own_rows()
    subprocess.run([sys.executable, Path(__file__).with_name("thousand.py"), folder], check=True)
    if kinds := [own[title] for title in chosen if title in own]:
        export(folder, kinds)
    for title in chosen:
        if title in own:
            target, precision = own[title]
            yield title, target, folder / f"levit_128s-{precision}-{target}" / _FILE[target]
        else:
            target, make = others[title]
            yield title, target, make(folder)


def measure(artifact: Path, target: str, *, operators: bool) -> dict[str, Any]:
    """{processor: counts}; with ``operators`` also what each kind of operator takes: [how many, instructions]."""
    row: dict[str, Any] = {}
    for cpu in _CPUS:
        counts = count(artifact, target, cpu, runs=2)
        row[cpu] = {
            "total": counts.total,
            "classes": dict(counts.classes),
            "runs": list(counts.runs),
            "repeatability": counts.repeatability,
        }
        row["runtime"], row["qemu"] = dict(counts.runtime), counts.qemu
        if operators:
            found = count_operators(artifact, target, cpu)
            row[cpu]["operators"] = {share.name: [share.times, int(share.amount)] for share in found.by_kind()}
            row[cpu]["outside_operators"] = counts.total - sum(found.totals)
    return row


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="count only the rows whose name has this in it; keep the others")
    options.add_argument(
        "--peer", type=Path, action="append", default=[], help="another .tflite of one picture; repeats"
    )
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    own = own_rows()
    others = OTHERS | {file.stem: ("tflite", lambda _, file=file: file) for file in args.peer}
    names = [*own, *others]
    chosen = [name for name in names if args.only in name]
    if not chosen:
        raise UsageError(f"--only {args.only!r} is in no row's name; the rows are: {'; '.join(names)}")
    about = {
        "cpus": {cpu: CPUS[cpu].model for cpu in _CPUS},
        "weights": "random, 1000 classes",
        "variant": "levit_128s",
    }
    checkpoint = resolve_weights("demo").sha256
    path = args.results / "instructions.json"
    rows: dict[str, Any] = json.loads(path.read_text())["rows"] if args.only and path.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        for title, target, file in made(Path(name), chosen, others):
            rows[title] = measure(file, target, operators=title in own)
            ordered = {row: rows[row] for row in [*names, *rows] if row in rows}
            # After each row: an hour's work should not go with the last of it.
            write(args.results, "instructions.json", checkpoint, {**about, "rows": ordered})
            print(title, {cpu: round(rows[title][cpu]["total"] / 1e6, 2) for cpu in _CPUS}, flush=True)


if __name__ == "__main__":
    with guarded():
        main()
