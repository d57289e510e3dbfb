"""Draw the app's sample pictures: the pictures of the golden vectors as PNG, so that what the app must say of them is known.

python android_demo/tools/samples.py
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "golden" / "vectors"
FOLDER = ROOT / "android_demo" / "app" / "src" / "main" / "assets" / "samples"
CASES = ("224x224", "97x331", "40x60")


def drawn() -> dict[str, bytes]:
    """{name of the file: its bytes}."""
    found = {}
    for case in json.loads((VECTORS / "vectors.json").read_text())["cases"]:
        if case["name"] in CASES:
            size = (case["width"], case["height"])
            picture = Image.frombytes("RGB", size, (VECTORS / case["picture"]).read_bytes())
            buffer = io.BytesIO()
            picture.save(buffer, "PNG", optimize=True)
            found[f"{case['name']}.png"] = buffer.getvalue()
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in drawn().items():
        (FOLDER / name).write_bytes(data)
        print(f"wrote {name}, {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
