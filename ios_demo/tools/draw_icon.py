"""Draw the app's icon: LeViT's three grids of tokens, 14, 7 and 4 a side, one inside the other.

python ios_demo/tools/draw_icon.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

FILE = Path(__file__).parents[1] / "LeViTDemo/Resources/Assets.xcassets/AppIcon.appiconset/AppIcon.png"
SIDE = 1024
_INK = (13, 34, 82)
_GRIDS = ((14, 784, (46, 92, 176)), (7, 504, (104, 168, 244)), (4, 256, (250, 252, 255)))  # tokens, pixels, colour


def draw() -> Image.Image:
    """An opaque square, as the App Store wants it: the system rounds the corners."""
    icon = Image.new("RGB", (SIDE, SIDE), _INK)
    pen = ImageDraw.Draw(icon)
    for tokens, side, colour in _GRIDS:
        first, step = (SIDE - side) / 2, side / tokens
        gap = 0.09 * step
        pen.rectangle([first - gap, first - gap, SIDE - first + gap, SIDE - first + gap], fill=_INK)
        for row in range(tokens):
            for column in range(tokens):
                x, y = first + column * step + gap, first + row * step + gap
                pen.rounded_rectangle([x, y, x + step - 2 * gap, y + step - 2 * gap], 0.2 * step, fill=colour)
    return icon


def main() -> None:
    """Write the file."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    draw().save(FILE, optimize=True)
    print(f"wrote {FILE.name}")


if __name__ == "__main__":
    main()
