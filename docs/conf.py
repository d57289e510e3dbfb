"""The site: every Markdown page of the repository, as it lies, and the docstrings. ``make docs`` builds it.

The sources are the repository's root, so that a link such as ``../benchmarks/README.md`` is right on a code-hosting site and on
this one. README.md is the front page of both.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # what autodoc imports is this checkout

from levit_mobile import __version__  # noqa: E402

PAGES: dict[str, tuple[str, ...]] = {  # the menu; a page of docs/ that is not in it fails the build
    "Begin": ("docs/start", "docs/own_classes", "docs/precision", "docs/troubleshooting"),
    "Targets": ("docs/targets/tflite", "docs/targets/executorch", "docs/targets/coreml", "docs/targets/onnx"),
    "Apps": ("android_demo/README", "ios_demo/README"),
    "Measure": ("docs/raspberry_pi", "docs/measuring", "docs/peers", "benchmarks/README", "benchmarks/matrix"),
    "Reference": ("docs/commands", "docs/checkpoints", "docs/bundle", "docs/model_card", "docs/api"),
    "How it works": ("docs/architecture", "docs/quantisation", "docs/trust", "docs/licences"),
    "Take part": (
        "CONTRIBUTING",
        "CHANGELOG",
        "tests/golden/README",
        "tests/golden/vectors/README",
        "android_demo/stubs/README",
    ),
}

project = "levit-mobile"
version = release = __version__
project_copyright = "the authors of levit-mobile, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["README.md", "docs/**.md", *(f"{page}.md" for pages in PAGES.values() for page in pages)]
exclude_patterns = [".*", "build", "shared"]
myst_heading_anchors = 4
smartquotes = False
highlight_language = "text"  # indented blocks: commands, and what they print

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False  # PyTorch's own, of forward
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
add_module_names = False  # the heading above has it
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True

nitpicky = True
# Only public names of our own are held: whoever builds the site without a network has no list of the others'.
nitpick_ignore_regex = [("py:.*", r"(?!(levit_mobile|exporters|calib)\.).*"), ("py:.*", r".*\._.*")]

html_theme = "furo"
html_title = "levit-mobile"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
linkcheck_timeout = 20


def _add_menu(_: Sphinx, page: str, source: list[str]) -> None:
    """The menu belongs to the site: a code-hosting site would show it as a block of code."""
    if page == root_doc:
        menus = (f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n{chr(10).join(PAGES[title])}\n```" for title in PAGES)
        source[0] = "\n\n".join((source[0], *menus))


def _open_at_the_front(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.name == "html":
        shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.connect("source-read", _add_menu)
    app.connect("build-finished", _open_at_the_front)
