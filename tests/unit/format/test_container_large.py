"""Archives past what the small fields of ZIP can say."""

from __future__ import annotations

import io
import subprocess
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from tests.unit.format.zips import MEMBER, WHEN, reader, stored_facts

from rlg_backup.format.container import ZipReader, ZipWriter
from rlg_backup.format.zipfields import DosTime, central_entry, local_header


class Zeros(io.RawIOBase):
    """``size`` zero bytes, without the memory for them."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        given = min(size, self.left)
        self.left -= given
        return bytes(given)


def test_what_lies_beyond_4_gib_is_found_by_us_by_zipfile_and_by_unzip(tmp_path: Path) -> None:
    """A sparse file: its zeros take no room, and the digest of the huge member is not read here."""
    huge = 2**32 + 5
    path = tmp_path / "a.zip"
    with path.open("wb") as sink:
        writer = ZipWriter(cast("BinaryIO", Sparse(sink)), WHEN)
        facts = {"size": huge, "compressed_size": huge, "crc32": 0, "sha256": bytes(32), "deflated": False}
        writer.add("huge", cast("BinaryIO", Zeros(huge)), **facts)  # type: ignore[arg-type]
        writer.add("small", io.BytesIO(b"x"), **asdict(stored_facts(b"x")))
        directory = writer.close()
    assert path.stat().st_size == directory.offset + directory.length > 2**32
    with path.open("rb") as file:

        def read_at(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        opened = ZipReader.locate(read_at, path.stat().st_size)
        assert [(member.name, member.size) for member in opened.members.values()] == [("huge", huge), ("small", 1)]
        assert opened.members["small"].offset > 2**32
        assert opened.read("small", limit=1) == b"x"
        with opened.open("huge") as stream:
            assert stream.read(10) == bytes(10)
    with zipfile.ZipFile(path) as theirs:
        assert [(info.filename, info.file_size) for info in theirs.infolist()] == [("huge", huge), ("small", 1)]
        assert theirs.read("small") == b"x"
    shown = subprocess.run(["/usr/bin/unzip", "-p", path, "small"], capture_output=True, check=False)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, b"x", b"")


class Sparse:
    """Writes a file and leaves holes where a piece is all zeros."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def write(self, data: bytes) -> int:
        if len(data) == 1024 * 1024:
            self.file.seek(len(data), 1)
            return len(data)
        return self.file.write(data)


@pytest.mark.parametrize("place", ["size", "compressed_size", "offset"])
@pytest.mark.parametrize("value", [2**32 - 2, 2**32 - 1, 2**32, 2**40])
def test_zip64_begins_at_the_value_the_small_field_cannot_say(place: str, value: int) -> None:
    member = replace(MEMBER, deflated=True, **{place: value})
    entry, header = central_entry(member, DosTime.of(WHEN)), local_header(member, DosTime.of(WHEN))
    assert len(entry) == 46 + 1 + 37 + (12 if value >= 2**32 - 1 else 0)
    assert len(header) == 30 + 1 + (20 if value >= 2**32 - 1 and place != "offset" else 0)
    if len(header) > 31:  # a local header says both sizes in the large field or none
        assert header[18:26] == b"\xff" * 8
    assert member.data_offset == member.offset + len(header)


def test_more_members_than_16_bits_can_count_are_read() -> None:
    sink = io.BytesIO()
    writer = ZipWriter(sink, WHEN)
    facts = asdict(stored_facts(b"x"))
    for number in range(66_000):
        writer.add(f"f/{number}", io.BytesIO(b"x"), **facts)
    directory = writer.close()
    opened = reader(sink.getvalue(), directory)
    assert (len(opened.members), opened.read("f/65999", limit=1)) == (66_000, b"x")
    assert len(zipfile.ZipFile(sink).namelist()) == 66_000
