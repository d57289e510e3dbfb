"""Run what ``make demo`` runs, and draw what it prints: docs/demo.svg.

python tools/draw_demo.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
BUNDLE = "levit_128s-int8-tflite"


def main() -> None:
    picture = subprocess.check_output([sys.executable, ROOT / "tools" / "sample_picture.py"], text=True).strip()
    scripts = Path(sys.executable).parent
    console = Console(record=True, width=104, file=open(os.devnull, "w"))  # noqa: SIM115
    with tempfile.TemporaryDirectory() as folder:
        # The picture is shown without the machine's path to it.
        (Path(folder) / "china.jpg").symlink_to(picture)
        for words in (["export", "--target", "tflite", "--int8"], ["predict", BUNDLE, "china.jpg"]):
            shown = "levit-export " + " ".join(words[1:]) if words[0] == "export" else "levit " + " ".join(words)
            console.print(f"[bold cyan]$[/bold cyan] {shown}")
            printed = subprocess.run(
                ["levit", *words],
                cwd=folder,
                env={**os.environ, "COLUMNS": "104", "PATH": f"{scripts}:{os.environ['PATH']}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
            ).stdout
            console.print(Text.from_ansi(printed))
    # Without the web font, which would be fetched whenever somebody looks at the picture.
    start, end = CONSOLE_SVG_FORMAT.index("@font-face"), CONSOLE_SVG_FORMAT.index(".{unique_id}-matrix")
    style = CONSOLE_SVG_FORMAT[:start] + CONSOLE_SVG_FORMAT[end:]
    svg = console.export_svg(title="make demo", code_format=style, unique_id="demo")
    (ROOT / "docs" / "demo.svg").write_text(svg)
    print("wrote docs/demo.svg")


if __name__ == "__main__":
    main()
