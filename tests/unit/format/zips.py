"""Archives for the tests of the container."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from rlg_backup.format.container import Directory, ZipReader, ZipWriter
from rlg_backup.format.packing import Packed, pack
from rlg_backup.format.zipfields import Member

WHEN = datetime(2026, 11, 23, 2, 0, 1, tzinfo=UTC)


def packed(content: bytes, deflate: bool | None = None) -> tuple[bytes, Packed]:
    sink = io.BytesIO()
    facts = pack(io.BytesIO(content), sink, deflate=deflate)
    return sink.getvalue(), facts


def made(contents: Mapping[str, bytes], deflate: bool | None = None) -> tuple[bytes, Directory]:
    sink = io.BytesIO()
    writer = ZipWriter(sink, WHEN)
    for name, content in contents.items():
        data, facts = packed(content, deflate)
        writer.add(name, io.BytesIO(data), **asdict(facts))
    directory = writer.close()
    return sink.getvalue(), directory


def reader(archive: bytes, directory: Directory) -> ZipReader:
    part = archive[directory.offset : directory.offset + directory.length]
    return ZipReader(lambda offset, length: archive[offset : offset + length], part, directory.offset)


def stored_facts(content: bytes) -> Packed:
    return Packed(len(content), len(content), zlib.crc32(content), hashlib.sha256(content).digest(), False)


MEMBER = Member("a", 1, 1, zlib.crc32(b"x"), stored_facts(b"x").sha256, False, 0)
