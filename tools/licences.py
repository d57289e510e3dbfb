"""Write docs/licences.md: the licence of every package that the toolkit, its tests and its other environments install.

    python tools/licences.py

The lists are constraints.txt and the files of requirements; the licences come from the packages' own metadata.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from levit_mobile.sbom import licence_of

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
LISTS = {
    "Installed with the toolkit, its extras and its tests": ROOT / "constraints.txt",
    "In the environment of `levit sign`": ROOT / "levit_mobile" / "data" / "sign-requirements.txt",
    "In the environment of `--via onnx2tf`": ROOT / "exporters" / "data" / "onnx2tf-requirements.txt",
}
FILES = {  # what a package's metadata does not tell, its file LICENSE does
    "namex": "Apache-2.0",
    "sigstore-models": "MIT",
    "torchao": "BSD-3-Clause",
}
HEADER = """\
# Licences

Of every package at the version that is pinned, in the words of its own metadata. Written by `tools/licences.py`; a test
compares it with the lists. None of them is copied into an artifact: a bundle holds the weights, labels and golden inputs, and
beside them `sbom.cdx.json`, the packages that took part.
"""


def pinned(path: Path) -> dict[str, str]:
    """{name: version} of a file of requirements."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", path.read_text("utf-8"), re.MULTILINE))


def licences(names: Iterable[str], places: list[str] | None = None) -> dict[str, tuple[str, str]]:
    """{name: (version, licence)} of those that are installed, here or in ``places``."""
    found = {}
    wanted = {_plain(name): name for name in names}
    for about in metadata.distributions(path=places) if places else metadata.distributions():
        name = wanted.get(_plain(about.metadata["Name"]))
        if name is not None and name not in found:
            found[name] = (about.version, licence_of(about.metadata) or FILES.get(name, ""))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def other_places() -> dict[Path, list[str]]:
    """{file of requirements: where its packages lie}, of the environments that are there."""
    from exporters import tflite_onnx2tf
    from exporters.environment import is_ready, make_ready
    from levit_mobile import signing

    found = {}
    for path, environment in zip(
        list(LISTS.values())[1:], (signing.ENVIRONMENT, tflite_onnx2tf.ENVIRONMENT), strict=True
    ):
        if is_ready(environment):
            packages = make_ready(environment).parent.parent.glob("lib/python*/site-packages")
            found[path] = [str(folder) for folder in packages]
    return found


def page() -> str:
    """The whole page.

    Raises:
        SystemExit: a package of a list is not installed in its version, or tells no licence.
    """
    places, parts = other_places(), [HEADER]
    for title, path in LISTS.items():
        known = licences(pinned(path), places.get(path))
        lacking = [
            name for name, version in pinned(path).items() if known.get(name, ("", ""))[0].partition("+")[0] != version
        ]
        silent = [name for name, (_, licence) in known.items() if not licence]
        if lacking or silent:
            raise SystemExit(f"{path.name}: not installed in the pinned version: {lacking}; tell no licence: {silent}")
        rows = [f"| {name} | {version} | {known[name][1]} |" for name, version in pinned(path).items()]
        parts.append("\n".join([f"## {title}\n", "| package | version | licence |", "| --- | --- | --- |", *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    PAGE.write_text(page(), "utf-8")
