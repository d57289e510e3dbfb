"""Run ``make demo`` from an empty build folder, and draw what it prints: docs/demo.svg.

python tools/draw_demo.py
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = ROOT / "build" / "levit_128s-int8-tflite"
SHOWN_ROOT = "~/levit-mobile"  # whoever looks has a checkout of their own


def record() -> list[str]:
    """The lines that ``make demo`` prints where everything is installed and nothing is built."""
    make = ["make", "--no-print-directory"]
    subprocess.run([*make, ".venv/demo.stamp"], cwd=ROOT, check=True)
    shutil.rmtree(BUNDLE, ignore_errors=True)
    own = str(ROOT / ".venv" / "bin")
    # As in a shell that is not inside the environment; in a log, so that no line is drawn over another.
    outside = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)
    environment = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"}
    done = subprocess.run(
        [*make, "demo"],
        cwd=ROOT,
        env={**environment, "PATH": outside},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"make demo ended with {done.returncode}:\n{done.stdout}")
    return done.stdout.replace(str(ROOT), SHOWN_ROOT).rstrip().splitlines()


def draw(lines: Sequence[str]) -> str:
    """A terminal with these lines below the command, as an SVG."""
    console = Console(record=True, file=io.StringIO(), highlight=False, width=max(map(len, lines)))
    console.print("[bold cyan]$[/bold cyan] make demo")
    for line in lines:
        console.print(Text(line), no_wrap=True)
    svg = console.export_svg(title="make demo", unique_id="demo")
    # Without the web font, which would be fetched whenever somebody looks at the picture.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    (ROOT / "docs" / "demo.svg").write_text(draw(record()))
    print("wrote docs/demo.svg")


if __name__ == "__main__":
    main()
