"""Read a flatbuffer where it lies, and write a small one from nested dicts.

A slot is a field's number in its schema, counted from 0. Every read is checked against the end of the data, so that a
damaged file is named as such.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TypeAlias

import flatbuffers

from levit_mobile.errors import BundleError

__all__ = ["Node", "Table", "decode_root", "encode"]

# A table as it is written: slot -> string, one-byte number, table, floats or tables. Empty: a table without fields.
Node: TypeAlias = Mapping[int, "str | int | Node | list[float | Node]"]


class Table:
    """One table of a flatbuffer; reading outside ``data`` raises ``BundleError``."""

    def __init__(self, data: bytes | bytearray | memoryview, position: int) -> None:
        self.data = data
        self.position = position
        self._vtable = position - self._number("<i", position)
        self._vtable_size = self._number("<H", self._vtable)
        self.check(position, self._number("<H", self._vtable + 2))

    def _number(self, code: str, position: int) -> int:
        self.check(position, struct.calcsize(code))
        return int(struct.unpack_from(code, self.data, position)[0])

    def check(self, start: int, size: int) -> None:
        """Refuse a range that is not inside the data."""
        if start < 0 or size < 0 or start + size > len(self.data):
            raise BundleError(
                f"the file is damaged or cut short: bytes {start} to {start + size} are missing of {len(self.data)}"
            )

    @property
    def slots(self) -> range:
        """Every slot that this table's writer knew."""
        return range(max(0, self._vtable_size - 4) // 2)

    def place(self, slot: int) -> int:
        """Where a field lies, 0 if it is not there."""
        if slot not in self.slots:
            return 0
        offset = self._number("<H", self._vtable + 4 + 2 * slot)
        return self.position + offset if offset else 0

    def target(self, slot: int) -> int:
        """Where a string, vector or table that a field refers to lies, 0 if it is not there."""
        place = self.place(slot)
        return place + self._number("<I", place) if place else 0

    def number(self, slot: int, code: str = "<I") -> int:
        """An integer field (``code`` as in ``struct``), 0 if it is not there."""
        place = self.place(slot)
        return self._number(code, place) if place else 0

    def span(self, slot: int, width: int = 1) -> tuple[int, int]:
        """Start and length of a vector whose elements have ``width`` bytes; (0, 0) if it is not there."""
        target = self.target(slot)
        if not target:
            return 0, 0
        length = self._number("<I", target)
        self.check(target + 4, length * width)
        return target + 4, length

    def bytes(self, slot: int) -> bytes:
        """A vector of bytes."""
        start, length = self.span(slot)
        return bytes(self.data[start : start + length])

    def text(self, slot: int) -> str:
        """A string, empty if it is not there."""
        try:
            return self.bytes(slot).decode()
        except UnicodeDecodeError as error:
            raise BundleError("the file is damaged: a text in it is not UTF-8") from error

    def numbers(self, slot: int, code: str) -> tuple[float, ...]:
        """A vector of 4-byte numbers, ``code`` i or f."""
        start, length = self.span(slot, 4)
        return struct.unpack_from(f"<{length}{code}", self.data, start)

    def table(self, slot: int) -> Table | None:
        """A table that a field refers to."""
        target = self.target(slot)
        return Table(self.data, target) if target else None

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables."""
        start, length = self.span(slot, 4)
        places = range(start, start + 4 * length, 4)
        return [Table(self.data, place + self._number("<I", place)) for place in places]


def decode_root(data: bytes | bytearray | memoryview, identifier: bytes, what: str) -> Table:
    """The root table of a flatbuffer.

    Raises:
        BundleError: the data does not carry the four bytes of ``identifier``; ``what`` names it in the message.
    """
    if bytes(data[4:8]) != identifier:
        raise BundleError(f"not {what}: bytes 4 to 8 are {bytes(data[4:8])!r}, not {identifier!r}")
    return Table(data, int(struct.unpack_from("<I", data)[0]))


def encode(root: Node, identifier: bytes) -> bytes:
    """A whole flatbuffer: the same nodes give the same bytes."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_put(builder, root), identifier)
    return bytes(builder.Output())


def _put(builder: flatbuffers.Builder, value: str | Node | list[float | Node]) -> int:
    """Append a value and return its offset; what a table refers to goes in before the table."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        made = {slot: _put(builder, child) for slot, child in value.items() if not isinstance(child, int)}
        builder.StartObject(max(value, default=-1) + 1)
        for slot, child in value.items():
            if isinstance(child, int):
                builder.PrependUint8Slot(slot, child, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(slot, made[slot], 0)
        return int(builder.EndObject())
    offsets = [child if isinstance(child, float) else _put(builder, child) for child in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        if isinstance(offset, float):
            builder.PrependFloat32(offset)
        else:
            builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
