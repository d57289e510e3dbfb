"""Write a LeViT with 1000 classes and random weights, and its calibration, into a folder.

python benchmarks/thousand.py DIR --model levit_256
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from calib.calibrate import calibrate
from calib.pictures import CalibrationSet
from calib.ranges import fingerprint
from levit_mobile.checkpoints import load_checkpoint, save_checkpoint
from levit_mobile.fuse import fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.variants import VARIANTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", choices=list(VARIANTS), default="levit_128s")
    args = parser.parse_args()
    folder = args.folder
    torch.manual_seed(0)
    model = LeViT(VARIANTS[args.model])
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1)  # some start at 0, and would leave nothing to export
            torch.nn.init.normal_(module.bias, std=0.1)
    for name, parameter in model.named_parameters():
        if name.endswith("attention_biases"):
            torch.nn.init.normal_(parameter)  # tables that are all alike would be stored once
    save_checkpoint(folder / "thousand.safetensors", model.eval())
    checkpoint = load_checkpoint(folder / "thousand.safetensors")
    pictures = CalibrationSet(golden_pictures(224), "drawn")
    found = calibrate(
        fuse(checkpoint.model()), pictures, checkpoint.preprocessing, weights=fingerprint(checkpoint.state)
    )
    (folder / "thousand.json").write_text(found.to_json())


if __name__ == "__main__":
    main()
