"""A .tflite as a container: a model, one metadata record inside it, a zip archive of small files behind it.

A flatbuffer's references only point forwards, so a record cannot be added at the end. It goes in front: a new head with
its own root table, which lists the old tables and the new buffer, and then the old file as it was.

    0      head: identifier, root table, lists of buffers and metadata entries, the record
    shift  the old file, byte for byte; only positions counted from the start of the file (Buffer.offset) are raised
    ...    zip archive, stored, not compressed: readers map it into memory

``shift`` is a multiple of 16, so every tensor keeps its alignment. Taking the record out gives the old file back.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

from exporters.tflite_flatbuffer import Table, decode_root
from exporters.tflite_metadata_schema import MODEL_IDENTIFIER, RECORD_NAME, Buffer, Metadata, Model, Operator, SubGraph
from levit_mobile.errors import BundleError

__all__ = ["attach", "detach", "open_model", "read_files", "read_record"]

_ALIGNMENT = 16
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip archive can name
# What ``zipfile`` raises for archives that are damaged, locked or packed in ways that it does not know.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)


def open_model(data: bytes | bytearray | memoryview) -> Table:
    """The root table of a model, after a look at every tensor, operator and buffer: they must lie inside the data.

    Raises:
        BundleError: this is no .tflite, it is not whole, or its schema is newer than this file.
    """
    model = decode_root(data, MODEL_IDENTIFIER, "a TensorFlow Lite model")
    if len(model.slots) > len(Model):
        raise BundleError(f"the model has {len(model.slots)} fields, {len(Model)} are known: its schema is newer")
    for buffer in model.tables(Model.BUFFERS):
        buffer.span(Buffer.DATA)
        if (offset := buffer.number(Buffer.OFFSET, "<Q")) > 1:
            buffer.check(offset, buffer.number(Buffer.SIZE, "<Q"))
    model.tables(Model.OPERATOR_CODES)
    for graph in model.tables(Model.SUBGRAPHS):
        graph.tables(SubGraph.TENSORS)
        graph.tables(SubGraph.OPERATORS)
    return model


def read_record(data: bytes) -> bytes | None:
    """The metadata record, None if there is none."""
    model = open_model(data)
    index = _record_index(model)
    return None if index is None else model.tables(Model.BUFFERS)[index].bytes(Buffer.DATA)


def read_files(data: bytes) -> dict[str, bytes]:
    """Name -> content of the files in the archive behind the model, empty if there is none.

    Raises:
        BundleError: a file in the archive is damaged.
    """
    archive = _archive(data)
    if archive is None:
        return {}
    with archive:
        if sum(entry.file_size for entry in archive.infolist()) > len(data):  # stored, as in every .tflite, they fit
            raise BundleError("the archive behind the model unpacks to more than the whole file")
        try:
            return {name: archive.read(name) for name in archive.namelist()}
        except _ZIP_ERRORS as error:
            raise BundleError(f"a file in the archive behind the model is damaged: {error}") from error


def attach(data: bytes, record: bytes, files: Mapping[str, bytes]) -> bytes:
    """The same model with this record and these files, in place of any that it had."""
    data = detach(data)
    head = _head(open_model(data), record)
    body = bytearray(data)
    _move_positions(body, len(head))
    out = io.BytesIO()
    out.write(head)
    out.write(body)
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_STORED)
    return out.getvalue()


def detach(data: bytes) -> bytes:
    """The model without archive, and without the record if ``attach`` made it."""
    archive = _archive(data)
    if archive is not None:
        with archive:
            data = data[: max(0, min((entry.header_offset for entry in archive.infolist()), default=len(data)))]
    model = open_model(data)
    index = _record_index(model)
    if index is None:
        return data
    start, length = model.tables(Model.BUFFERS)[index].span(Buffer.DATA)
    shift = _align(start + length)
    if data[shift + 4 : shift + 8] != MODEL_IDENTIFIER:
        return data
    # What attach made still holds the old root table, and both root tables list the same graphs.
    inner = Table(data, shift + int(struct.unpack_from("<I", data, shift)[0]))
    if inner.target(Model.SUBGRAPHS) != model.target(Model.SUBGRAPHS):
        return data
    body = bytearray(memoryview(data)[shift:])
    _move_positions(body, -shift)
    return bytes(body)


def _record_index(model: Table) -> int | None:
    """Which buffer holds the record."""
    for entry in model.tables(Model.METADATA):
        if entry.text(Metadata.NAME) == RECORD_NAME:
            index = entry.number(Metadata.BUFFER)
            if index >= len(model.tables(Model.BUFFERS)):
                raise BundleError(f"the model says that its metadata is in buffer {index}, which it does not have")
            return index
    return None


def _archive(data: bytes) -> zipfile.ZipFile | None:
    """The archive behind the model. A model whose weights happen to look like the end of one has none."""
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except _ZIP_ERRORS:
        return None


def _move_positions(body: bytearray, by: int) -> None:
    """Change every position that is counted from the start of the file; 0 and 1 mean that there is none."""
    # Not open_model: it would hold the positions against a file that is not yet, or no longer, as long as they say.
    model = decode_root(body, MODEL_IDENTIFIER, "a TensorFlow Lite model")
    fields = [(buffer, int(Buffer.OFFSET)) for buffer in model.tables(Model.BUFFERS)]
    for graph in model.tables(Model.SUBGRAPHS):
        fields += [(op, int(Operator.LARGE_CUSTOM_OPTIONS_OFFSET)) for op in graph.tables(SubGraph.OPERATORS)]
    # A dict, so that a table which is listed twice moves once.
    positions = {table.place(slot): table.number(slot, "<Q") for table, slot in fields}
    for place, position in positions.items():
        if position > 1:
            if not 0 <= position + by < 2**63:
                raise BundleError(f"the file is damaged: something in it is at byte {position}")
            struct.pack_into("<Q", body, place, position + by)


def _align(position: int, to: int = _ALIGNMENT) -> int:
    return -(-position // to) * to


def _head(old: Table, record: bytes) -> bytearray:
    """What goes in front of the old file so that the two are one model with one more buffer."""
    name = RECORD_NAME.encode()
    buffers = old.tables(Model.BUFFERS)
    index = _record_index(old)
    index = len(buffers) if index is None else index
    entries = [entry for entry in old.tables(Model.METADATA) if entry.text(Metadata.NAME) != RECORD_NAME]
    fields = sorted({slot for slot in old.slots if old.place(slot)} | {Model.BUFFERS, Model.METADATA})

    # Where everything goes. A table's field is 4 bytes here; a vtable lies right before its table.
    root = _align(8 + 4 + 2 * len(Model), 4)
    buffer_list = root + 4 + 4 * len(fields)
    entry_list = buffer_list + 4 + 4 * max(len(buffers), index + 1)
    entry = entry_list + 4 + 4 * (len(entries) + 1) + 8
    text = entry + 12
    buffer = _align(text + 4 + len(name) + 1, 4) + 8
    content = _align(buffer + 8 + 4)
    shift = _align(content + len(record))

    head = bytearray(shift)

    def point(place: int, target: int) -> None:
        struct.pack_into("<I", head, place, target - place)

    point(0, root)
    head[4:8] = MODEL_IDENTIFIER

    struct.pack_into("<HHi", head, 8, 4 + 2 * len(Model), 4 + 4 * len(fields), 0)
    struct.pack_into("<i", head, root, root - 8)
    moved = {Model.BUFFERS: buffer_list, Model.METADATA: entry_list}
    for number, slot in enumerate(fields):
        place = root + 4 + 4 * number
        struct.pack_into("<H", head, 8 + 4 + 2 * slot, place - root)
        if slot == Model.VERSION:
            struct.pack_into("<I", head, place, old.number(slot))
        else:
            point(place, moved.get(Model(slot)) or shift + old.target(slot))

    tables = [shift + table.position for table in buffers]
    tables[index : index + 1] = [buffer]
    for start, targets in ((buffer_list, tables), (entry_list, [*(shift + e.position for e in entries), entry])):
        struct.pack_into("<I", head, start, len(targets))
        for number, target in enumerate(targets):
            point(start + 4 + 4 * number, target)

    struct.pack_into("<HHHHi", head, entry - 8, 8, 12, 4, 8, 8)  # Metadata: vtable, then name and buffer
    point(entry + 4, text)
    struct.pack_into("<I", head, entry + 8, index)
    struct.pack_into(f"<I{len(name)}s", head, text, len(name), name)

    struct.pack_into("<HHHHi", head, buffer - 8, 6, 8, 4, 0, 8)  # Buffer: vtable, then data
    point(buffer + 4, content - 4)
    struct.pack_into(f"<I{len(record)}s", head, content - 4, len(record), record)
    return head
