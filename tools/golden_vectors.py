"""Write what every implementation of the preprocessing and of top-k must give, in Python, Kotlin and Swift.

python tools/golden_vectors.py

Pictures are drawn, so that they show nobody; each is stored as raw bytes, so that a test needs no decoder. The format is in
tests/golden/vectors/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from levit_mobile.evaluate import top_k
from levit_mobile.golden import golden_pictures
from levit_mobile.pipeline import reference_model
from levit_mobile.preprocess import Preprocessing, normalise, resize_and_crop
from levit_mobile.weights import resolve_weights

FOLDER = Path(__file__).parent.parent / "tests" / "golden" / "vectors"
SIZES = ((400, 300), (97, 331), (40, 60), (640, 64), (258, 540), (3, 500), (1, 1), (224, 224))  # width, height
TOP = 5
_ENTRIES = 24  # of each tensor, spread over it


def draw(index: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3): a corner of a golden picture."""
    return golden_pictures(max(width, height, 8), index + 1)[index, :height, :width]


def levels(spec: Preprocessing) -> list[list[int]]:
    """For each channel, the bits of the float32 that each of the 256 levels becomes."""
    grey = np.arange(256, dtype=np.uint8)
    pixels = np.stack([grey] * 3, axis=-1)[None, None]  # (1, 1, 256, 3)
    return [row.view(np.uint32).tolist() for row in normalise(pixels, spec)[0, :, 0]]


def entries(pixels: npt.NDArray[np.uint8], spec: Preprocessing) -> list[dict[str, int]]:
    """A few entries of the tensor, by where they lie in both layouts, and their bits."""
    nchw = normalise(pixels[None], spec)[0]
    side = spec.crop
    found = []
    for at in np.linspace(0, nchw.size - 1, _ENTRIES).astype(int):
        channel, y, x = (int(v) for v in np.unravel_index(at, nchw.shape))
        bits = int(nchw[channel, y, x].view(np.uint32))
        found.append({"nchw": int(at), "nhwc": (y * side + x) * 3 + channel, "bits": bits})
    return found


def write(folder: Path) -> dict[str, Any]:
    """Write the vectors into ``folder``; what is in its JSON is returned."""
    checkpoint = resolve_weights("demo")
    spec, reference = checkpoint.preprocessing, reference_model(checkpoint)
    labels = checkpoint.labels
    assert labels is not None
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for index, (width, height) in enumerate(SIZES):
        picture, name = draw(index, width, height), f"{width}x{height}"
        pixels = resize_and_crop(Image.fromarray(picture), spec)
        logits = reference(pixels[None])[0]
        (folder / f"{name}.rgb").write_bytes(picture.tobytes())
        (folder / f"{name}.pixels").write_bytes(pixels.tobytes())
        cases.append(
            {
                "name": name,
                "width": width,
                "height": height,
                "picture": f"{name}.rgb",
                "pixels": f"{name}.pixels",
                "entries": entries(pixels, spec),
                "nchw_sha256": hashlib.sha256(normalise(pixels[None], spec).tobytes()).hexdigest(),
                "logits": [float(v) for v in logits],
                "top": [{"class": c, "label": labels[c], "probability": p} for c, p in top_k(logits, TOP)],
            }
        )
    data = {
        "format": 1,
        "checkpoint": checkpoint.sha256,
        "preprocessing": spec.to_dict(),
        "labels": list(labels),
        "levels": levels(spec),
        "cases": cases,
    }
    (folder / "vectors.json").write_text(json.dumps(data, indent=1) + "\n")
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    found = write(args.out)
    print(f"wrote {len(found['cases'])} vectors into {args.out.name}/")


if __name__ == "__main__":
    main()
