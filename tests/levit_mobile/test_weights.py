"""What ``--weights`` may be, and what each gives."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from levit_mobile import weights
from levit_mobile.checkpoints import Checkpoint, save_checkpoint
from levit_mobile.errors import CheckpointError, DownloadError, UsageError
from levit_mobile.model import LeViT
from levit_mobile.variants import VARIANTS
from levit_mobile.weights import resolve_weights


@pytest.fixture(scope="module")
def model() -> LeViT:
    torch.manual_seed(0)
    return LeViT(VARIANTS["levit_128s"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "LEVIT_MOBILE_WEIGHTS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Mirror:
    """A server that has an official-looking file of levit_128s."""

    url: str
    name: str
    sha256: str
    official: str


@pytest.fixture(scope="module")
def served(model: LeViT, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    folder = tmp_path_factory.mktemp("mirror")
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict()}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    name = f"LeViT-128S-{digest[:8]}.pth"
    (folder / name).write_bytes(buffer.getvalue())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Mirror(f"http://127.0.0.1:{server.server_port}", name, digest, f"http://127.0.0.1:9/LeViT/{name}")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mirror(served: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """The table names the file at an address where nobody answers: only the mirror can have given it."""
    monkeypatch.setitem(VARIANTS, "levit_128s", dataclasses.replace(VARIANTS["levit_128s"], url=served.official))
    return served


def assert_from(mirror: Mirror, checkpoint: Checkpoint, model: LeViT) -> None:
    assert checkpoint.variant.name == "levit_128s"
    assert checkpoint.name == mirror.name
    assert checkpoint.sha256 == mirror.sha256
    assert checkpoint.scheme == "official"
    assert checkpoint.num_classes == 1000
    assert torch.equal(checkpoint.state["head.l.weight"], model.state_dict()["head.l.weight"])


def test_imagenet_is_fetched_once(mirror: Mirror, model: LeViT, cache: Path) -> None:
    calls: list[tuple[int, int | None, str]] = []
    first = resolve_weights("imagenet", base_url=mirror.url, progress=lambda *call: calls.append(call))
    assert_from(mirror, first, model)
    file = cache / "weights" / mirror.name
    assert calls[0] == (0, None, "connecting to 127.0.0.1")
    assert calls[-1] == (file.stat().st_size, file.stat().st_size, "")
    calls.clear()
    again = resolve_weights("imagenet", variant="128s", progress=lambda *call: calls.append(call))  # nobody answers
    assert_from(mirror, again, model)
    assert calls == []


@pytest.mark.parametrize("where", ["table", "environment", "argument"])
def test_where_imagenet_comes_from(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The argument wins over the environment, which wins over the table; the two that lose name closed doors."""
    base_url = None
    if where == "table":
        row = dataclasses.replace(VARIANTS["levit_128s"], url=f"{mirror.url}/{mirror.name}")
        monkeypatch.setitem(VARIANTS, "levit_128s", row)
    elif where == "environment":
        monkeypatch.setenv("LEVIT_MOBILE_WEIGHTS_URL", f"{mirror.url}/")
    else:
        monkeypatch.setenv("LEVIT_MOBILE_WEIGHTS_URL", "http://127.0.0.1:9")
        base_url = mirror.url
    read: list[tuple[Path, str]] = []
    monkeypatch.setattr(weights, "load_checkpoint", lambda path, *, variant: read.append((path, variant)))
    resolve_weights("imagenet", base_url=base_url)
    file = cache / "weights" / mirror.name
    assert read == [(file, "levit_128s")]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == mirror.sha256


def test_a_mirror_without_the_file(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        DownloadError, match=r"/nothing/LeViT-128S-\w{8}\.pth \(the server answered 404 .*--weights PATH"
    ):
        resolve_weights("imagenet", base_url=f"{mirror.url}/nothing/")


@pytest.mark.parametrize(
    ("variant", "file", "digest"),
    [
        (None, "LeViT-128S-96703c44.pth", "96703c44"),
        ("levit_128s", "LeViT-128S-96703c44.pth", "96703c44"),
        ("LeViT-128", "LeViT-128-b88c2750.pth", "b88c2750"),
        ("192", "LeViT-192-92712e41.pth", "92712e41"),
        ("levit_256", "LeViT-256-13b5763e.pth", "13b5763e"),
        ("levit_384", "LeViT-384-9bdaf2e2.pth", "9bdaf2e2"),
    ],
)
def test_the_official_files(
    cache: Path, monkeypatch: pytest.MonkeyPatch, variant: str | None, file: str, digest: str
) -> None:
    asked: dict[str, object] = {}

    def fake(url: str, folder: Path, *, digest_prefix: str, progress: object) -> Path:
        asked.update(url=url, folder=folder, digest_prefix=digest_prefix)
        raise DownloadError("asked")

    monkeypatch.setattr(weights, "fetch", fake)
    with pytest.raises(DownloadError, match="asked"):
        resolve_weights("imagenet", variant=variant)
    assert asked == {
        "url": f"https://dl.fbaipublicfiles.com/LeViT/{file}",
        "folder": cache / "weights",
        "digest_prefix": digest,
    }


@pytest.fixture
def demo(model: LeViT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "levit_128s-imagenette.safetensors"
    save_checkpoint(file, model)
    monkeypatch.setattr(weights, "_DEMO", file)
    return file


def test_demo(demo: Path) -> None:
    checkpoint = resolve_weights("demo", variant="LeViT-128S")
    assert checkpoint.scheme == "levit-mobile"
    assert checkpoint.name == demo.name
    assert checkpoint.sha256 == hashlib.sha256(demo.read_bytes()).hexdigest()


def test_the_demo_weights_in_the_package() -> None:
    checkpoint = resolve_weights("demo")
    assert checkpoint.name == "levit_128s-imagenette.safetensors"
    assert checkpoint.variant.name == "levit_128s"
    assert checkpoint.num_classes == 10


def test_demo_of_another_variant(demo: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_weights("demo", variant="256")
    assert str(caught.value) == (
        "the demo weights are those of levit_128s, there are none for levit_256; "
        "type --model levit_128s, or --weights imagenet"
    )


def test_demo_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_DEMO", tmp_path / "levit_128s-imagenette.safetensors")
    with pytest.raises(
        CheckpointError, match=r"\(levit_128s-imagenette\.safetensors\) are missing .*--weights imagenet"
    ):
        resolve_weights("demo")


def test_a_path(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_weights(str(demo)).name == demo.name
    with pytest.raises(CheckpointError, match="the weights of levit_128s, not of levit_192"):
        resolve_weights(str(demo), variant="levit_192")


def test_the_words_win_over_files(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").write_bytes(b"no checkpoint")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint"):
        resolve_weights("./demo")
    read: list[Path] = []
    monkeypatch.setattr(weights, "load_checkpoint", lambda path, *, variant: read.append(path))
    resolve_weights("demo")
    assert read == [demo]


@pytest.mark.parametrize("word", ["imagenette", "Demo", "", "folder/none.pth", "a\0b"])
def test_neither_a_word_nor_a_path(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_weights(word)
    assert str(caught.value) == f"--weights {word}: no such file; type demo, imagenet, or the path of a checkpoint"


@pytest.mark.parametrize("word", ["demo", "imagenet"])
def test_an_unknown_variant(word: str) -> None:
    with pytest.raises(UsageError, match="unknown variant '512'; type one of: levit_128s, "):
        resolve_weights(word, variant="512")
