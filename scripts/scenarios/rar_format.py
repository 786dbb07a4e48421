"""Changes header fields of a RAR 5 archive, for archives that no archiver would write.

A RAR 5 archive is a signature and a row of blocks. Each block starts with the CRC-32 of its header, so a changed
header needs only that number put right. Numbers are "vints": seven bits a byte, low bits first, the top bit set on
all bytes but the last. Format: the "RAR 5.0 archive format" technical note that RARLAB publishes.

Replacements keep their length, so no size and no offset changes. Archives must be made with `-qo-`: a quick-open
record would keep copies of the headers as they were.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"Rar!\x1a\x07\x01\x00"

FILE_HEADER = 2
_FLAG_EXTRA_AREA = 0x0001
_FLAG_DATA_AREA = 0x0002
_FILE_FLAG_TIME = 0x0002
_FILE_FLAG_CRC = 0x0004


@dataclass(frozen=True)
class Field:
    """Where a value is in the archive."""

    start: int
    end: int
    value: int | bytes


@dataclass(frozen=True)
class FileBlock:
    """The fields of a file header that the fixtures change, and where its packed data lies."""

    crc_start: int
    header_start: int
    header_end: int
    name: Field
    unpacked_size: Field
    compression: Field
    data_start: int
    data_end: int


def read_vint(archive: bytes, offset: int) -> tuple[int, int]:
    """The number at `offset` and the offset after it."""
    value = 0
    for index in range(10):
        byte = archive[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, offset + index + 1
    raise ValueError(f"no end of a number at offset {offset}")


def encode_vint(value: int, length: int) -> bytes:
    """`value` in exactly `length` bytes; the format allows the padding."""
    encoded = bytearray()
    for index in range(length):
        last = index == length - 1
        encoded.append((value & 0x7F) | (0 if last else 0x80))
        value >>= 7
    if value:
        raise ValueError(f"the number does not fit in {length} bytes")
    return bytes(encoded)


def file_blocks(archive: bytes) -> Iterator[FileBlock]:
    """Every file header, in archive order."""
    if not archive.startswith(SIGNATURE):
        raise ValueError("not a RAR 5 archive")
    offset = len(SIGNATURE)
    while offset < len(archive):
        crc_start = offset
        size, header_start = read_vint(archive, offset + 4)
        header_end = header_start + size
        kind, at = read_vint(archive, header_start)
        flags, at = read_vint(archive, at)
        if flags & _FLAG_EXTRA_AREA:
            _, at = read_vint(archive, at)
        data_size = 0
        if flags & _FLAG_DATA_AREA:
            data_size, at = read_vint(archive, at)
        if kind == FILE_HEADER:
            yield _file_block(archive, crc_start, header_start, header_end, at, data_size)
        offset = header_end + data_size


def _file_block(
    archive: bytes, crc_start: int, header_start: int, header_end: int, at: int, data_size: int
) -> FileBlock:
    file_flags, at = read_vint(archive, at)
    size, behind_size = read_vint(archive, at)
    unpacked_size = Field(at, behind_size, size)
    _, at = read_vint(archive, behind_size)  # attributes
    at += 4 * bool(file_flags & _FILE_FLAG_TIME) + 4 * bool(file_flags & _FILE_FLAG_CRC)
    method, behind_method = read_vint(archive, at)
    compression = Field(at, behind_method, method)
    _, at = read_vint(archive, behind_method)  # host system
    name_length, at = read_vint(archive, at)
    name = Field(at, at + name_length, archive[at : at + name_length])
    return FileBlock(
        crc_start, header_start, header_end, name, unpacked_size, compression, header_end, header_end + data_size
    )


def find_block(archive: bytes, name: str) -> FileBlock:
    """The header of the first entry with this name."""
    for block in file_blocks(archive):
        if block.name.value == name.encode():
            return block
    raise KeyError(f"no entry named {name!r}")


def replace_field(archive: bytes, block: FileBlock, field: Field, value: bytes) -> bytes:
    """The archive with one field overwritten and the header's checksum put right."""
    if len(value) != field.end - field.start:
        raise ValueError(f"{value!r} has another length than the field")
    patched = bytearray(archive)
    patched[field.start : field.end] = value
    # The checksum covers the header from its size field on.
    checksum = zlib.crc32(patched[block.crc_start + 4 : block.header_end])
    patched[block.crc_start : block.crc_start + 4] = struct.pack("<I", checksum)
    return bytes(patched)


def rename_entry(archive: bytes, name: str, new_name: str) -> bytes:
    """Gives the entry a name of the same length in bytes."""
    block = find_block(archive, name)
    return replace_field(archive, block, block.name, new_name.encode())


def claim_unpacked_size(archive: bytes, name: str, size: int) -> bytes:
    """Makes the header lie about the size of what it holds."""
    block = find_block(archive, name)
    field = block.unpacked_size
    return replace_field(archive, block, field, encode_vint(size, field.end - field.start))


def claim_dictionary(archive: bytes, name: str, log2_of_128_kib_units: int) -> bytes:
    """Makes the header ask for a dictionary of 128 KiB times two to the given power (at most 15: 4 GiB)."""
    block = find_block(archive, name)
    field = block.compression
    method = (int(field.value) & ~0x3C00) | (log2_of_128_kib_units << 10)
    return replace_field(archive, block, field, encode_vint(method, field.end - field.start))
