"""Writes ``preprocess.npz``: what torchvision's own evaluation transform makes of ``tests/pictures.py``'s pictures.

Ran once, with torchvision 0.28.0, torch 2.13.0 and Pillow 13.0.0; again: ``python tests/golden/make_preprocess_golden.py``.
For each picture: every eighth row and column, float32, and the sha256 of the whole array (3, 224, 224).
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parents[1]), str(FOLDER.parent)]

from oracles import import_torchvision  # noqa: E402
from pictures import DRAWN, PHOTOGRAPHS, draw, photograph  # noqa: E402


def main() -> None:
    import_torchvision()
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.Resize(256, interpolation=transforms.InterpolationMode.BICUBIC, antialias=True),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    golden: dict[str, np.ndarray] = {}
    pictures = {size: draw(size) for size in DRAWN} | {name: Image.open(photograph(name)) for name in PHOTOGRAPHS}
    for name, picture in pictures.items():
        whole = transform(picture).numpy()
        golden[name] = whole[:, ::8, ::8]
        golden[f"{name}.sha256"] = np.frombuffer(hashlib.sha256(whole.tobytes()).digest(), np.uint8)
    np.savez_compressed(FOLDER / "preprocess.npz", **golden)


if __name__ == "__main__":
    main()
