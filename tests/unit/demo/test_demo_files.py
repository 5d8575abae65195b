"""The tree holds valid files of every kind a backup must keep."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import stat
import struct
import wave
import zlib
from pathlib import Path
from random import Random

import pytest
import yaml

from rlg_backup.demo.media import pdf, png


def test_the_tree_has_every_kind_of_entry(made: Path) -> None:
    root = made / "files"
    assert (root / "media" / "Café Zürich – תל אביב.png").is_file()
    assert (root / "reports" / "latest.pdf").is_symlink() and (root / "reports" / "latest.pdf").resolve().is_file()
    assert list((root / "inbox").iterdir()) == []
    assert (root / "media" / "empty.bin").stat().st_size == 0
    assert (root / "config" / "prices.json").stat().st_ino == (root / "config" / "prices.current.json").stat().st_ino
    assert stat.S_IMODE((root / "config" / "refresh.sh").stat().st_mode) == 0o755
    assert (root / "media" / "showreel.wav").stat().st_size > 5_000_000


def test_pictures_are_valid_png(made: Path) -> None:
    pictures = list((made / "files" / "media").rglob("*.png"))
    assert len(pictures) >= 12
    for picture in pictures:
        assert_png(picture.read_bytes())


def assert_png(content: bytes) -> None:
    """Every chunk's checksum holds and the pixels are as many as the header says."""
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        data = content[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + data) == int.from_bytes(content[at + 8 + size : at + 12 + size], "big")
        chunks[kind] = data
        at += 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width)
    assert list(chunks)[-1] == b"IEND"


def test_a_damaged_picture_is_seen_as_one() -> None:
    """The check above can fail."""
    content = bytearray(png(Random(1), 8))
    content[40] ^= 1
    with pytest.raises(AssertionError):
        assert_png(bytes(content))


def test_reports_are_pdf_whose_cross_references_hold(made: Path) -> None:
    reports = [path for path in (made / "files" / "reports").rglob("*.pdf") if not path.is_symlink()]
    assert reports
    for report in reports:
        assert_pdf(report.read_bytes())


def assert_pdf(content: bytes) -> None:
    start = int(content.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert content[start:].startswith(b"xref\n")
    offsets = re.findall(rb"(\d{10}) 00000 n \n", content[start:])
    assert len(offsets) == 5
    for number, offset in enumerate(offsets, 1):
        assert content[int(offset) :].startswith(b"%d 0 obj\n" % number)
    found = re.search(rb"/Length (\d+) >>\nstream\n(.*?)endstream", content, re.DOTALL)
    assert found and len(found[2]) == int(found[1])


def test_text_that_the_font_lacks_and_brackets_leave_a_pdf_valid() -> None:
    content = pdf(["a (b) \\ c", "תל אביב", "Café"])
    assert_pdf(content)
    assert b"(a \\(b\\) \\\\ c)" in content and b"(?? ????)" in content and b"(Caf\xe9)" in content


def test_the_sound_opens(made: Path) -> None:
    with wave.open(io.BytesIO((made / "files" / "media" / "showreel.wav").read_bytes())) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getnframes()) == (1, 44_100, 60 * 44_100)


def test_configuration_files_parse(made: Path) -> None:
    folder = made / "files" / "config"
    assert len(json.loads((folder / "prices.json").read_text())["prices"]) == 18
    assert len(yaml.safe_load((folder / "regions.yaml").read_text())["regions"]) == 9
    assert yaml.safe_load((folder / "scraper.yaml").read_text())["robots"] == "obey"


def test_what_the_databases_name_is_in_the_tree(made: Path, data: sqlite3.Connection, fans: sqlite3.Connection) -> None:
    named = [row[0] for row in data.execute("SELECT path FROM report_runs WHERE path IS NOT NULL")]
    named += [row[0] for row in fans.execute("SELECT template FROM newsletters")]
    assert len(named) > 10
    assert [path for path in named if not (made / "files" / path).is_file()] == []


def test_pictures_of_newsletters_are_there(made: Path) -> None:
    for template in (made / "files" / "templates").rglob("*.html"):
        (source,) = re.findall(r'src="([^"]+)"', template.read_text())
        assert Path(os.path.normpath(template.parent / source)).is_file()
