"""A folder as one run of bytes, in the form in which ExecuTorch's Core ML delegate carries a package inside a ``.pte``.

The files lie one behind the other; a JSON object at the end says which is where, and is written backwards, so that a reader
who starts at the last byte knows where it ends. The format is ``inmemoryfs`` of ExecuTorch's ``backends/apple/coreml``. Its
own writer takes files in the order in which the disk lists them; this one in that of their names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["pack_folder", "unpack_folder"]

_FILE, _FOLDER = 0, 1


def pack_folder(name: str, files: Mapping[str, bytes]) -> bytes:
    """``files``, by their paths below the folder ``name``, which must be ASCII."""
    data = bytearray()
    nodes: list[dict[str, Any]] = []

    def add(node: str, kind: int, size: int, children: dict[str, int]) -> int:
        region = {"offset": len(data) if kind == _FILE else 0, "size": size}
        nodes.append({"name": node, "kind": kind, "dataRegion": region, "children": children})
        return len(nodes) - 1

    def put(folder: str, inside: Mapping[str, bytes]) -> int:
        children = {}
        for first in sorted({path.partition("/")[0] for path in inside}):
            if first in inside:
                children[first] = add(first, _FILE, len(inside[first]), {})
                data.extend(inside[first])
            else:
                below = {path[len(first) + 1 :]: inside[path] for path in inside if path.startswith(f"{first}/")}
                children[first] = put(first, below)
        return add(folder, _FOLDER, 0, children)

    put(name, files)
    return bytes(data) + json.dumps({"nodes": nodes}, sort_keys=True, separators=(",", ":")).encode("ascii")[::-1]


def unpack_folder(data: bytes) -> dict[str, bytes]:
    """The files of a packed folder, by their paths below it.

    Raises:
        ValueError: the bytes are not a packed folder.
    """
    try:
        table, _ = json.JSONDecoder().raw_decode(data[::-1].decode("latin-1"))
        nodes = table["nodes"]
        files: dict[str, bytes] = {}
        seen: set[int] = set()
        room = len(data)  # no two files share bytes, or a few of them could fill the memory

        def walk(index: int, path: str) -> None:
            nonlocal room
            node = nodes[index]
            if node["kind"] == _FILE:
                start, size = node["dataRegion"]["offset"], node["dataRegion"]["size"]
                if not 0 <= start <= start + size <= len(data):
                    raise ValueError(f"{path} lies outside")
                room -= size
                if room < 0:
                    raise ValueError(f"{path} has bytes of another file")
                files[path] = data[start : start + size]
            for name, child in node["children"].items():
                if not 0 <= child < index or child in seen:  # children come first and have one parent, so a walk ends
                    raise ValueError(f"{path} is in a circle")
                seen.add(child)
                walk(child, f"{path}/{name}" if path else name)

        walk(len(nodes) - 1, "")
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a packed folder ({error!r})") from error
    return files
