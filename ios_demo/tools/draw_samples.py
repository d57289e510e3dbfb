"""Draw the sample pictures of the app: a golf ball, a parachute and a church, as PNGs of 448 x 448 pixels.

python ios_demo/tools/draw_samples.py

They are drawn, so that they show nobody and belong to nobody; the same bytes every time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parents[1] / "LeViTDemo/Resources/Samples"
SIDE = 448
_FINE = 2  # drawn so many times as large, for smooth edges
_Pixels = npt.NDArray[np.float64]


def _noise(rng: np.random.Generator, blur: tuple[float, float], amplitude: float) -> _Pixels:
    """(SIDE, SIDE, 1): blades, clouds and the like, around 0."""
    field = rng.standard_normal((SIDE, SIDE))
    for axis, width in enumerate(blur):
        at = np.arange(-int(3 * width) - 1, int(3 * width) + 2)
        kernel = np.exp(-0.5 * (at / max(width, 0.01)) ** 2)
        field = np.apply_along_axis(np.convolve, axis, field, kernel / kernel.sum(), mode="same")
    return (field / field.std() * amplitude)[..., None]


def _picture(pixels: _Pixels) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def golf_ball() -> Image.Image:
    """A dimpled ball on a lawn."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    lawn = np.array([62.0, 122.0, 40.0]) * (0.75 + 0.5 * (y / SIDE)[..., None])
    lawn += _noise(rng, (5, 1), 20) + _noise(rng, (1, 1), 9)
    radius, (cx, cy) = 128, (224, 226)
    dx, dy = (x - cx) / radius, (y - cy) / radius
    inside = dx**2 + dy**2 < 1
    shadow = np.exp(-3 * ((x - cx - 30) / 150) ** 2 - 10 * ((y - cy - 120) / 70) ** 2)
    lawn *= 1 - 0.65 * shadow[..., None]
    z = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))
    # Dimples on a spiral over the sphere.
    count = 340
    at = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * at / count), np.pi * (1 + 5**0.5) * at
    centres = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], -1)
    normal = np.stack([dx, dy, z], -1)
    bent = normal.copy()
    for centre in centres[centres[:, 2] > -0.2]:
        gap = normal - centre
        near = np.linalg.norm(gap, axis=-1) < 0.088
        bent[near] -= 4.0 * gap[near]
    bent /= np.linalg.norm(bent, axis=-1, keepdims=True)
    light = np.array([-0.5, -0.65, 0.57])
    shade = np.clip(bent @ light, 0, 1)
    ball = (95 + 160 * shade)[..., None] * np.array([1.0, 1.0, 0.98])
    return _picture(np.where(inside[..., None], ball, lawn)).filter(ImageFilter.GaussianBlur(0.8))


def parachute() -> Image.Image:
    """A striped canopy with lines and a jumper, in front of a sky."""
    rng = np.random.default_rng(2)
    y = np.mgrid[0:SIDE, 0:SIDE][0]
    sky = np.array([70.0, 130.0, 215.0]) + (y / SIDE)[..., None] * np.array([90.0, 70.0, 25.0])
    sky += np.clip(_noise(rng, (18, 40), 26), 0, None)
    picture = _picture(sky).resize((SIDE * _FINE, SIDE * _FINE))
    draw = ImageDraw.Draw(picture)
    s = _FINE
    top, bottom, left, right = 60 * s, 270 * s, 74 * s, 374 * s
    colours = [(214, 40, 40), (247, 247, 247), (252, 191, 32), (29, 78, 168)]
    gores = 9
    edge = np.linspace(left, right, gores + 1)
    middle, rim = (left + right) / 2, (top + bottom) / 2 + 8 * s
    for gore in range(gores):
        start, stop = edge[gore], edge[gore + 1]
        outline = []
        for x, order in ((start, 1), (stop, -1)):
            angles = np.linspace(0, np.pi / 2, 24)[::order]
            outline += [(middle + (x - middle) * np.sin(a), rim - (rim - top) * np.cos(a)) for a in angles]
        lobe = [(stop + (start - stop) * t, rim + 12 * s * np.sin(np.pi * t)) for t in np.linspace(0, 1, 12)]
        ordered = outline[:24] + lobe[::-1] + outline[24:]
        draw.polygon(ordered, fill=colours[gore % 4])
    jumper = (middle, 372 * s)
    for x in edge:
        draw.line([(x, rim), jumper], fill=(235, 235, 235), width=s)
    draw.ellipse([jumper[0] - 8 * s, jumper[1] - 8 * s, jumper[0] + 8 * s, jumper[1] + 8 * s], fill=(40, 35, 35))
    draw.rounded_rectangle(
        [jumper[0] - 11 * s, jumper[1] + 6 * s, jumper[0] + 11 * s, jumper[1] + 42 * s], 6 * s, fill=(50, 45, 60)
    )
    for side in (-1, 1):
        draw.line(
            [(jumper[0] + side * 5 * s, jumper[1] + 40 * s), (jumper[0] + side * 9 * s, jumper[1] + 66 * s)],
            fill=(40, 40, 50),
            width=7 * s,
        )
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def church() -> Image.Image:
    """A white church with a steeple."""
    rng = np.random.default_rng(3)
    y = np.mgrid[0:SIDE, 0:SIDE][0]
    sky = np.array([105.0, 160.0, 222.0]) + (y / SIDE)[..., None] * np.array([90.0, 60.0, 20.0])
    sky += np.clip(_noise(rng, (14, 34), 22), 0, None)
    lawn = np.array([84.0, 132.0, 58.0]) + _noise(rng, (3, 1), 14)
    picture = _picture(np.where((y > 356)[..., None], lawn, sky)).resize((SIDE * _FINE, SIDE * _FINE))
    draw = ImageDraw.Draw(picture)

    def shape(points: list[tuple[float, float]], fill: tuple[int, int, int]) -> None:
        draw.polygon([(px * _FINE, py * _FINE) for px, py in points], fill=fill)

    def window(x: float, top: float, width: float, height: float) -> None:
        box = [(x - width / 2) * _FINE, top * _FINE, (x + width / 2) * _FINE, (top + height) * _FINE]
        draw.rectangle([box[0], box[1] + width * _FINE / 2, box[2], box[3]], fill=(58, 66, 84))
        draw.pieslice([box[0], box[1], box[2], box[1] + width * _FINE], 180, 360, fill=(58, 66, 84))

    for cx, r in ((30, 60), (420, 70), (392, 48)):  # trees
        draw.ellipse([(cx - r) * _FINE, (330 - r) * _FINE, (cx + r) * _FINE, (340 + r / 2) * _FINE], fill=(48, 92, 44))
    stone, shade = (232, 226, 212), (200, 192, 176)
    shape([(180, 232), (372, 232), (372, 378), (180, 378)], shade)  # nave
    shape([(168, 236), (210, 176), (350, 176), (386, 236)], (108, 72, 62))
    for x in (232, 276, 320):
        window(x + 14, 262, 22, 76)
    shape([(96, 168), (194, 168), (194, 384), (96, 384)], stone)  # tower
    shape([(170, 168), (194, 168), (194, 384), (170, 384)], shade)
    shape([(86, 172), (145, 40), (204, 172)], (96, 64, 58))  # spire
    shape([(145, 40), (204, 172), (168, 172)], (78, 52, 48))
    draw.rectangle([143 * _FINE, 12 * _FINE, 147 * _FINE, 46 * _FINE], fill=(60, 50, 40))
    draw.rectangle([134 * _FINE, 21 * _FINE, 156 * _FINE, 25 * _FINE], fill=(60, 50, 40))
    window(132, 196, 26, 48)
    draw.ellipse([118 * _FINE, 262 * _FINE, 148 * _FINE, 292 * _FINE], fill=(58, 66, 84))
    window(133, 318, 36, 66)
    shape([(116, 384), (150, 384), (196, 448), (60, 448)], (196, 184, 160))  # path
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


SAMPLES = {"golf-ball": golf_ball, "parachute": parachute, "church": church}


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, drawn in SAMPLES.items():
        drawn().save(out / f"{name}.png", optimize=True)
    print(f"wrote {len(SAMPLES)} pictures into {out.name}/")


if __name__ == "__main__":
    main()
