"""A folder as bytes: ExecuTorch's own reader and writer agree with ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levit_mobile.folder_bytes import pack_folder, unpack_folder

FILES = {"a.json": b"{}", "p/Manifest.json": b"\xff\x00", "p/Data/w/weight.bin": bytes(range(256)), "p/Data/m": b""}


def test_there_and_back() -> None:
    packed = pack_folder("top", FILES)
    assert unpack_folder(packed) == FILES
    assert pack_folder("top", dict(reversed(FILES.items()))) == packed


@given(st.dictionaries(st.sampled_from(["a", "b/c", "b/d/e", "f", "b/g"]), st.binary(max_size=40), min_size=1))
def test_any_folder(files: dict[str, bytes]) -> None:
    assert unpack_folder(pack_folder("top", files)) == files


def test_executorchs_own_reader_and_writer(tmp_path: Path) -> None:
    coreml = pytest.importorskip("executorch.backends.apple.coreml.executorchcoreml")
    files = {name: data for name, data in FILES.items() if data}  # its writer ends the process on an empty one
    assert coreml.unflatten_directory_contents(pack_folder("top", files), str(tmp_path))
    found = {p.relative_to(tmp_path / "top").as_posix(): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == files
    assert unpack_folder(coreml.flatten_directory_contents(str(tmp_path / "top"))) == files


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        b'{"nodes": []}'[::-1],
        b'{"nodes": [{"kind": 1, "children": {"a": 0}}]}'[::-1],
        b'{"nodes": [{"kind": 0, "dataRegion": {"offset": 0, "size": 1000}, "children": {}}]}'[::-1],
        b'{"nodes": [{"kind": 0, "dataRegion": {"offset": -1, "size": 1}, "children": {}}]}'[::-1],
        b"[1]"[::-1],
    ],
)
def test_what_is_no_folder(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack_folder(data)


def test_a_node_with_two_parents_is_refused() -> None:
    """Twenty-five of them, one above the other, would be thirty million files."""
    leaf: dict[str, object] = {"name": "a", "kind": 0, "dataRegion": {"offset": 0, "size": 0}, "children": {}}
    nodes = [leaf, *({**leaf, "kind": 1, "children": {"l": n, "r": n}} for n in range(25))]
    with pytest.raises(ValueError, match="in a circle"):
        unpack_folder(json.dumps({"nodes": nodes})[::-1].encode())
