"""The house rules, read from the sources: nothing heavy is imported here."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("calib", "exporters", "levit_mobile")

# Imports go down or stay on a level, never up. A package stands for its modules, but levit_mobile only for itself.
# A new module gets a place here: as far down as what it imports allows.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("levit_mobile", "levit_mobile.errors", "levit_mobile.variants"),
    (
        "levit_mobile.arrays",
        "levit_mobile.download",
        "levit_mobile.exchange",
        "levit_mobile.folder_bytes",
        "levit_mobile.isolated",
        "levit_mobile.journal",
        "levit_mobile.key_schemes",
        "levit_mobile.model",
        "levit_mobile.placing",
        "levit_mobile.quiet",
        "levit_mobile.resize",
        "levit_mobile.sbom",
        "levit_mobile.scales",
    ),
    ("levit_mobile.preprocess", "levit_mobile.checkpoints", "levit_mobile.fuse", "levit_mobile.weights"),
    (
        "calib",
        "levit_mobile.bundle",
        "levit_mobile.golden",
        "levit_mobile.program",
        "levit_mobile.qdq",
        "levit_mobile.quantize",
    ),
    (
        "exporters",
        "levit_mobile.all_cores",
        "levit_mobile.datasets",
        "levit_mobile.evaluate",
        "levit_mobile.half",
        "levit_mobile.quant_error",
        "levit_mobile.runtimes",
    ),
    (
        "levit_mobile.bench",
        "levit_mobile.mixed",
        "levit_mobile.pipeline",
        "levit_mobile.signing",
        "levit_mobile.signing_worker",
        "levit_mobile.targets",
    ),
    ("levit_mobile.cli", "levit_mobile.__main__"),
)

# Packages that only one target needs -> the target. ExecuTorch's Core ML delegate is coremltools, too.
ALSO = {("coremltools", "executorch")}
THEIRS = {
    "ai_edge_litert": "tflite",
    "ai_edge_quantizer": "tflite",
    "coremltools": "coreml",
    "executorch": "executorch",
    "flatbuffers": "tflite",
    "litert_torch": "tflite",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "tflite_runtime": "tflite",
}


@lru_cache(maxsize=1)
def modules() -> dict[str, Path]:
    """{dotted name: file} of every module that ships."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@lru_cache(maxsize=256)
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text("utf-8"))


def imports(name: str) -> set[str]:
    """What a module imports, wherever in it: at the top, inside functions, for type checkers; and modules that it names
    in a string, as tables of lazily imported ones do."""
    package = name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            inside = {f"{base}.{alias.name}" for alias in node.names}
            found |= {part for part in inside if part in modules()} or {base}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            found |= {node.value} & modules().keys()
    return found


def own_imports(name: str) -> set[str]:
    return imports(name) & modules().keys()


def level(name: str) -> int | None:
    for at, row in enumerate(LEVELS):
        if any(name == entry or (entry != "levit_mobile" and name.startswith(f"{entry}.")) for entry in row):
            return at
    return None


def target_of(name: str, targets: set[str]) -> str | None:
    """The target whose a module is: ``exporters.tflite_graph`` is tflite's; None for what several share."""
    stem = name.split(".")[-1]
    return next((t for t in targets if stem == t or stem.startswith(f"{t}_")), None)


def functions(name: str) -> set[str]:
    return {node.name for node in tree(name).body if isinstance(node, ast.FunctionDef)}


def targets() -> set[str]:
    return {name.split(".")[1] for name in modules() if name.startswith("exporters.") and "export" in functions(name)}


# Imports


def test_the_sources_are_read() -> None:
    assert len(modules()) > 35
    assert own_imports("levit_mobile.pipeline") >= {"levit_mobile.bundle", "levit_mobile.targets", "levit_mobile"}
    assert "levit_mobile.bundle" in own_imports("levit_mobile.runtimes")  # for type checkers only, and yet
    assert "calib.calibrate" in own_imports("levit_mobile.cli.export")  # inside a function
    assert "torch" in imports("levit_mobile.model")


@pytest.mark.parametrize("name", modules())
def test_imports_point_one_way(name: str) -> None:
    here = level(name)
    assert here is not None, f"{name} is new: give it a level in LEVELS"
    above = {other for other in own_imports(name) if (level(other) or 0) > here}
    assert above == set(), f"{name} imports what is above it"


def test_every_row_of_the_levels_is_somebody() -> None:
    rows = [entry for row in LEVELS for entry in row]
    assert set(rows) <= modules().keys()
    assert len(set(rows)) == len(rows)


def test_imports_go_in_no_circle() -> None:
    left = {name: own_imports(name) - {name} for name in modules()}
    while leaves := {name for name, needs in left.items() if not needs & left.keys()}:
        for name in leaves:
            del left[name]
    assert left == {}


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("exporters.")])
def test_an_exporter_stays_with_its_target(name: str) -> None:
    mine = target_of(name, targets())
    for other in own_imports(name):
        if other.startswith("exporters."):
            assert target_of(other, targets()) in (mine, None)
        assert not other.startswith("levit_mobile.runtimes"), "an exporter translates; it runs nothing"


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("levit_mobile.runtimes")])
def test_a_runtime_needs_no_exporter(name: str) -> None:
    assert not {other for other in own_imports(name) if other.split(".")[0] == "exporters"}
    if not name.startswith("levit_mobile.runtimes.executorch"):  # its package takes and gives torch's tensors
        assert not {other for other in imports(name) if other.split(".")[0] in ("torch", "safetensors")}


@pytest.mark.parametrize("name", modules())
def test_nobody_needs_the_command_line(name: str) -> None:
    if level(name) != len(LEVELS) - 1:
        assert not {other for other in own_imports(name) if other.startswith("levit_mobile.cli")}
        assert not imports(name) & {"click", "rich"}, "only the command line talks to people"


@pytest.mark.parametrize("name", modules())
def test_a_targets_packages_stay_in_its_files(name: str) -> None:
    for package in {other.split(".")[0] for other in imports(name)} & THEIRS.keys():
        assert name.startswith(("exporters.", "levit_mobile.bench.onboard.", "levit_mobile.runtimes.")), package
        target = target_of(name, set(THEIRS.values()))
        assert target == THEIRS[package] or (package, target) in ALSO, package


def test_every_target_can_be_exported_and_run() -> None:
    assert "tflite" in targets()
    for target in targets():
        assert "open_artifact" in functions(f"levit_mobile.runtimes.{target}")
        assert f"exporters.{target}" in own_imports("levit_mobile.targets")
        assert f"levit_mobile.runtimes.{target}" in own_imports("levit_mobile.runtimes")


# Names


def bound(body: list[ast.stmt]) -> Iterator[str]:
    """Names that exist at a module's top level."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.If | ast.Try):
            yield from bound(node.body)
            yield from bound(node.orelse)


def told(name: str) -> list[str] | None:
    """The module's ``__all__``."""
    for node in tree(name).body:
        if isinstance(node, ast.Assign) and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["__all__"]:
            value: list[str] = ast.literal_eval(node.value)
            return value
    return None


def public(name: str) -> list[ast.FunctionDef | ast.ClassDef]:
    nodes = [n for n in tree(name).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return [node for node in nodes if not node.name.startswith("_")]


def place(name: str) -> tuple[int, list[str | int]]:
    """CONSTANTS, then Classes, then functions, each by the alphabet and its numbers by size: ruff's order (RUF022)."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


SPEAKING = [name for name in modules() if len(tree(name).body) > 1 and not name.endswith("__main__")]


@pytest.mark.parametrize("name", SPEAKING)
def test_all_is_told_sorted_and_there(name: str) -> None:
    names = told(name)
    assert names, f"{name} has no __all__"
    assert names == sorted(names, key=place)
    assert len(set(names)) == len(names)
    assert not [entry for entry in names if entry.startswith("_") and entry != "__version__"]
    assert set(names) <= set(bound(tree(name).body))


@pytest.mark.parametrize("name", SPEAKING)
def test_what_is_public_is_told(name: str) -> None:
    assert {node.name for node in public(name)} <= set(told(name) or ()), "tell it in __all__, or name it _so"


# Documentation

PROTOCOLS = ("levit_mobile.runtimes.base", "levit_mobile.evaluate")


def documented_by_a_protocol() -> set[str]:
    classes = [node for name in PROTOCOLS for node in public(name) if isinstance(node, ast.ClassDef)]
    protocols = [c for c in classes if any(isinstance(b, ast.Name) and b.id == "Protocol" for b in c.bases)]
    assert len(protocols) == 2
    return {n.name for c in protocols for n in c.body if isinstance(n, ast.FunctionDef) and ast.get_docstring(n)}


@pytest.mark.parametrize("name", modules())
def test_everything_public_is_documented(name: str) -> None:
    """Modules, functions, classes, methods. Not ``forward``, whose shapes the class tells; not what a protocol explains;
    not an enumeration: its members say what it is."""
    known = {"forward", *documented_by_a_protocol()}
    assert ast.get_docstring(tree(name)), f"{name} does not say what it is"
    for node in public(name):
        if isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] == ["IntEnum"]:
            continue
        assert ast.get_docstring(node), f"{name}.{node.name}"
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(part, ast.FunctionDef) and not part.name.startswith("_") and part.name not in known:
                assert ast.get_docstring(part), f"{name}.{node.name}.{part.name}"


@pytest.mark.parametrize("name", modules())
def test_a_file_is_one_idea(name: str) -> None:
    assert len(modules()[name].read_text("utf-8").splitlines()) <= 400


def test_what_pyproject_names_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    scripts = project["project"]["scripts"]
    assert {"levit", "levit-export"} <= scripts.keys()
    for entry in scripts.values():
        module, _, function = entry.partition(":")
        assert function in functions(module), entry
    for package, patterns in project["tool"]["setuptools"]["package-data"].items():
        for pattern in patterns:
            assert list((ROOT / package).glob(pattern)), f"{package}/{pattern}"


# What must not leave the machine that it was written on

# Places of one machine. A path in a URL has a host before it, and is fine.
PATHS = re.compile(rb"(?<![\w.\-/])/(?:work|root|home|Users)/[\w.]")
# Where packages come from is a matter of each machine's own settings.
HOSTS = re.compile(
    rb"pypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs\.org|static\.crates\.io|repo1?\.maven\."
    rb"|--(?:extra-)?index-url|PIP_(?:EXTRA_)?INDEX_URL|--trusted[-]host"
    rb"|https?://[^/\s\"']*\.(?:internal|corp|local|lan)\b"
    rb"|https?://(?:10\.\d|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)"
)


def tracked() -> list[Path]:
    """What git has, and what it would take with the next ``git add``."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository here: nothing to ask which files belong to it")
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name.decode() for name in listing.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("pattern", [PATHS, HOSTS], ids=["paths", "hosts"])
def test_nothing_of_this_machine_is_in_the_files(pattern: re.Pattern[bytes]) -> None:
    files = tracked()
    assert len(files) > 60
    found = [
        f"{path.relative_to(ROOT)}: {line[max(0, hit.start() - 20) : hit.end() + 40]!r}"
        for path in files
        if path.suffix not in (".safetensors", ".npz", ".tflite", ".png", ".jpg", ".jar")
        for line in path.read_bytes().splitlines()
        if (hit := pattern.search(line))
    ]
    assert found == []


@pytest.mark.parametrize("place", [b"work", b"root", b"home", b"Users"])
def test_the_pattern_for_paths(place: bytes) -> None:
    for text in (b"see /%s/main", b"'/%s/me/x'", b"=/%s/x", b"(/%s/.cache)"):
        assert PATHS.search(text % place)
    for text in (b"https://host/%s/x", b"a/%s/b", b"/%s", b"../%s/x"):
        assert not PATHS.search(text % place)


def test_the_pattern_for_hosts() -> None:
    web = b"https:" + b"//"  # in two, for this file is searched too
    for text in (b"pip install -i " + web + b"10.1.2.3/simple", web + b"packages.corp/x", b"--index" + b"-url=x"):
        assert HOSTS.search(text)
    for text in (web + b"127.0.0.1:80/", web + b"github.com/corp/x.local", b"pip install torch", web + b"100.1.1.1"):
        assert not HOSTS.search(text)
