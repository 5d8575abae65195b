"""The container: written so that any ZIP tool reads it, read so that nothing else passes for it."""

from __future__ import annotations

import io
import itertools
import random
import subprocess
import zipfile
import zlib
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.format.zips import MEMBER, WHEN, made, packed, reader, stored_facts

from rlg_backup.core.errors import BackupError, DirectoryDamaged, MemberDamaged
from rlg_backup.format.container import Directory, ZipReader, ZipWriter
from rlg_backup.format.packing import MemberSink
from rlg_backup.format.zipfields import DosTime, Member, central_entry, end_records

NOISE = random.Random(7).randbytes(200_000)
CONTENTS = {
    "README.txt": b"how to open this by hand\n" * 500,
    "data/main.accounts/part-00000.parquet": NOISE,
    "data/main.a%20b/part-00000.parquet": b"",
    "files/ab/0123": b"x",
    "profile.json": b"{}",
}


# --- what is written -------------------------------------------------------------------------------


@pytest.mark.parametrize("deflate", [None, True, False])
def test_the_standard_library_reads_every_member(deflate: bool | None) -> None:
    archive, _ = made(CONTENTS, deflate)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == CONTENTS
        info = opened.infolist()[0]
        assert info.date_time == (2026, 11, 23, 2, 0, 0)
        assert (info.external_attr >> 16, info.flag_bits, opened.comment) == (0o100600, 0x0800, b"")


def test_unzip_finds_no_error(tmp_path: Path) -> None:
    archive, _ = made(CONTENTS)
    path = tmp_path / "a.zip"
    path.write_bytes(archive)
    ended = subprocess.run(["/usr/bin/unzip", "-t", path], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith(f"No errors detected in compressed data of {path}.\n")


def test_text_is_deflated_and_noise_is_stored() -> None:
    archive, directory = made(CONTENTS)
    members = reader(archive, directory).members
    deflated = {name: member.deflated for name, member in members.items()}
    assert deflated == {name: name == "README.txt" for name in CONTENTS}
    assert members["README.txt"].compressed_size < len(CONTENTS["README.txt"]) / 10


def test_the_first_64_kib_decide_and_must_save_a_tenth() -> None:
    text, noise = b"a" * 65_536, NOISE[:65_536]
    assert packed(text + noise * 3)[1].deflated
    assert not packed(noise + text * 3)[1].deflated
    assert not packed(noise[:62_000] + text[:3_536])[1].deflated
    assert packed(noise[:57_000] + text[:8_536])[1].deflated


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=50_000), max_size=6), st.sampled_from([None, True, False]))
def test_the_size_of_writes_does_not_matter(pieces: list[bytes], deflate: bool | None) -> None:
    sink = io.BytesIO()
    with MemberSink(sink, deflate=deflate) as member:
        for piece in pieces:
            member.write(piece)
    whole, facts = packed(b"".join(pieces), deflate)
    assert (sink.getvalue(), member.packed) == (whole, facts)
    assert facts.compressed_size == len(whole)


def test_the_same_members_give_the_same_bytes_and_the_directory_is_the_end() -> None:
    archive, directory = made(CONTENTS)
    assert made(CONTENTS) == (archive, directory)
    assert directory.offset + directory.length == len(archive)
    assert archive[directory.offset :].startswith(b"PK\x01\x02")


def test_an_archive_without_members_is_read_back_empty() -> None:
    archive, directory = made({})
    assert reader(archive, directory).members == {}
    assert zipfile.ZipFile(io.BytesIO(archive)).namelist() == []


def test_times_are_utc_and_stay_within_what_zip_can_say() -> None:
    east = datetime(2026, 1, 1, 1, 30, 3, tzinfo=timezone(timedelta(hours=2)))
    assert DosTime.of(east) == DosTime.of(datetime(2025, 12, 31, 23, 30, 2, tzinfo=UTC))
    assert DosTime.of(datetime(1970, 1, 1, tzinfo=UTC)) == DosTime(0, 1 << 5 | 1)
    assert DosTime.of(datetime(2200, 1, 1, tzinfo=UTC)).date == 127 << 9 | 12 << 5 | 31


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "C:x", "é", "a b", "a\n"]
)
def test_a_name_that_could_leave_the_folder_is_not_written(name: str) -> None:
    data, facts = packed(b"x")
    with pytest.raises(DirectoryDamaged) as caught:
        ZipWriter(io.BytesIO(), WHEN).add(name, io.BytesIO(data), **asdict(facts))
    assert str(caught.value) == f"unable to write '{name}': the name is not made of plain segments"


def test_a_name_is_written_once_and_not_too_long() -> None:
    writer = ZipWriter(io.BytesIO(), WHEN)
    facts = asdict(stored_facts(b"x"))
    writer.add("a" * 1024, io.BytesIO(b"x"), **facts)
    with pytest.raises(DirectoryDamaged) as caught:
        writer.add("a" * 1024, io.BytesIO(b"x"), **facts)
    assert str(caught.value) == f"unable to write '{'a' * 80}': the name stands twice"
    with pytest.raises(DirectoryDamaged) as caught:
        writer.add("a" * 1025, io.BytesIO(b"x"), **facts)
    assert str(caught.value) == f"unable to write '{'a' * 80}': the name is longer than 1024 bytes"


@pytest.mark.parametrize("staged", [b"", b"abc", b"abcde"])
def test_a_staged_member_of_another_length_is_noticed(staged: bytes) -> None:
    with pytest.raises(MemberDamaged) as caught:
        ZipWriter(io.BytesIO(), WHEN).add("a", io.BytesIO(staged), **asdict(stored_facts(b"abcd")))
    assert str(caught.value) == "unable to write 'a': what was staged is not 4 bytes long"


# --- what is read ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,3}(/[a-zA-Z0-9_%-]{1,5}){0,2}", fullmatch=True), st.binary(max_size=3000)),
    st.sampled_from([None, True, False]),
    st.integers(1, 4000),
)
def test_members_come_back_whatever_they_hold(contents: dict[str, bytes], deflate: bool | None, step: int) -> None:
    archive, directory = made(contents, deflate)
    opened = reader(archive, directory)
    assert list(opened.members) == list(contents)
    for name, content in contents.items():
        with opened.open(name) as stream:
            assert b"".join(iter(lambda: stream.read(step), b"")) == content
        assert opened.read(name, limit=3000) == content


def test_a_large_member_is_read_in_pieces_of_at_most_1_mib() -> None:
    content = NOISE * 30
    archive, directory = made({"a": b"before", "b": content, "c": b"after"}, False)
    asked: list[tuple[int, int]] = []

    def read_at(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return archive[offset : offset + length]

    opened = ZipReader(read_at, archive[directory.offset :], directory.offset)
    assert asked == []
    with opened.open("b") as stream:
        assert b"".join(iter(lambda: stream.read(100_000), b"")) == content
    member = opened.members["b"]
    assert max(length for _, length in asked) == 1024 * 1024
    assert min(offset for offset, _ in asked) == member.offset
    assert max(offset + length for offset, length in asked) == member.end


def test_the_directory_is_found_from_the_end_too() -> None:
    archive, directory = made(CONTENTS)
    found = ZipReader.locate(lambda offset, length: archive[offset : offset + length], len(archive))
    assert found.members == reader(archive, directory).members
    for damaged in (archive[:-1], archive + b"x", archive[:50], b""):
        with pytest.raises(DirectoryDamaged):
            ZipReader.locate(lambda offset, length, data=damaged: data[offset : offset + length], len(damaged))


def test_a_member_that_is_not_there_or_is_too_long_is_an_error() -> None:
    opened = reader(*made(CONTENTS))
    with pytest.raises(MemberDamaged) as caught:
        opened.open("data/none")
    assert str(caught.value) == "unable to read 'data/none': the archive has no such member"
    with pytest.raises(MemberDamaged) as caught:
        opened.read("profile.json", limit=1)
    assert str(caught.value) == "unable to read 'profile.json': it is longer than 1 bytes"


def read_all(archive: bytes, directory: Directory) -> dict[str, bytes]:
    opened = reader(archive, directory)
    return {name: opened.read(name, limit=10**6) for name in opened.members}


def test_no_changed_byte_ever_gives_other_content() -> None:
    """Each byte of a small archive is changed: only spare bits at the end of a Deflate stream may pass."""
    contents = {"README.txt": b"ab" * 40, "data/x": b"\x01\x02\x03", "profile.json": b""}
    archive, directory = made(contents)
    text = reader(archive, directory).members["README.txt"]
    assert text.deflated
    passed = []
    for position, bit in itertools.product(range(len(archive)), (0x01, 0x10, 0x80)):
        damaged = bytearray(archive)
        damaged[position] ^= bit
        try:
            assert read_all(bytes(damaged), directory) == contents
            passed.append(position)
        except (DirectoryDamaged, MemberDamaged):
            pass
    assert set(passed) <= {text.end - 1}


def test_no_cut_directory_and_no_moved_one_is_ever_read() -> None:
    archive, directory = made({"a": b"x", "b": b"yz"})
    whole = archive[directory.offset :]
    for length in range(len(whole)):
        for part in (whole[:length], whole[length + 1 :] if length else b""):
            with pytest.raises(DirectoryDamaged):
                ZipReader(lambda offset, length: b"", part, directory.offset)
    with pytest.raises(DirectoryDamaged) as caught:
        ZipReader(lambda offset, length: b"", whole, directory.offset + 1)
    assert str(caught.value) == "unable to read 'ZIP directory': its end records tell another place or length"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**63))
def test_no_bytes_make_the_reader_fail_in_another_way(data: bytes, offset: int) -> None:
    for directory in (data, data + end_records(1, len(data), offset) if offset < 2**62 else data):
        try:
            ZipReader(lambda offset, length: b"", directory, offset)
        except BackupError as error:
            assert type(error) is DirectoryDamaged


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ([MEMBER, MEMBER], "member 'a' does not begin where the one before it ends"),
        ([MEMBER, replace(MEMBER, offset=MEMBER.end)], "it has two members 'a'"),
        ([replace(MEMBER, offset=1)], "member 'a' does not begin where the one before it ends"),
        ([replace(MEMBER, size=2)], "member 'a' cannot have the size it tells"),
        ([replace(MEMBER, size=2000, deflated=True)], "member 'a' cannot have the size it tells"),
        ([replace(MEMBER, size=2**63, compressed_size=2**63)], "member 'a' is larger than a file can be"),
        ([replace(MEMBER, name="../a")], "an entry cannot be used: the name is not made of plain segments"),
        ([replace(MEMBER, name="a" * 1025)], "an entry cannot be used: the name is longer than 1024 bytes"),
        ([replace(MEMBER, name="é")], "an entry is cut short or its name is not plain"),
    ],
)
def test_a_directory_that_contradicts_itself_is_refused(members: list[Member], cause: str) -> None:
    entries = b"".join(central_entry(member, DosTime.of(WHEN)) for member in members)
    offset = max(member.end for member in members) % 2**63
    directory = entries + end_records(len(members), len(entries), offset)
    with pytest.raises(DirectoryDamaged) as caught:
        ZipReader(lambda offset, length: b"", directory, offset)
    assert str(caught.value) == f"unable to read 'ZIP directory': {cause}"


def test_bytes_between_the_members_and_the_directory_are_refused() -> None:
    entries = central_entry(MEMBER, DosTime.of(WHEN))
    directory = entries + end_records(1, len(entries), MEMBER.end + 10)
    with pytest.raises(DirectoryDamaged) as caught:
        ZipReader(lambda offset, length: b"", directory, MEMBER.end + 10)
    assert str(caught.value) == "unable to read 'ZIP directory': its members do not fill the archive"


def test_entries_of_different_times_are_refused() -> None:
    later = DosTime.of(WHEN + timedelta(days=1))
    second = replace(MEMBER, name="b", offset=MEMBER.end)
    entries = central_entry(MEMBER, DosTime.of(WHEN)) + central_entry(second, later)
    with pytest.raises(DirectoryDamaged) as caught:
        ZipReader(lambda offset, length: b"", entries + end_records(2, len(entries), second.end), second.end)
    assert str(caught.value) == "unable to read 'ZIP directory': its entries have different times"


DEFLATED_X = zlib.compressobj(1, zlib.DEFLATED, -15)
DEFLATED_X = DEFLATED_X.compress(b"x" * 500) + DEFLATED_X.flush()
FACTS_X = stored_facts(b"x" * 500)


@pytest.mark.parametrize(
    ("data", "size", "cause"),
    [
        (DEFLATED_X, 499, "it is longer than its 499 bytes"),
        (DEFLATED_X, 501, "it ends before its 501 bytes"),
        (DEFLATED_X[:-1], 500, "its deflated bytes have no end"),
        (DEFLATED_X + b"\0", 500, "bytes follow its deflated end"),
        (b"\xff" * 20, 500, "its deflated bytes do not inflate"),
    ],
)
def test_a_deflated_member_ends_exactly_where_it_should(data: bytes, size: int, cause: str) -> None:
    sink = io.BytesIO()
    writer = ZipWriter(sink, WHEN)
    facts = replace(FACTS_X, size=size, compressed_size=len(data), deflated=True)
    writer.add("a", io.BytesIO(data), **asdict(facts))
    directory = writer.close()
    with pytest.raises(MemberDamaged) as caught:
        read_all(sink.getvalue(), directory)
    assert str(caught.value) == f"unable to read 'a': {cause}"


def test_a_deflate_bomb_is_stopped_at_its_stated_size() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(50_000_000)) + bomb.flush()
    sink = io.BytesIO()
    writer = ZipWriter(sink, WHEN)
    writer.add("a", io.BytesIO(data), **asdict(replace(FACTS_X, compressed_size=len(data), deflated=True)))
    directory = writer.close()
    with pytest.raises(MemberDamaged) as caught:
        reader(sink.getvalue(), directory).open("a").read(1)
    assert str(caught.value) == "unable to read 'a': it is longer than its 500 bytes"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"crc32": 1}, "its CRC-32 is wrong"),
        ({"sha256": bytes(32)}, "its SHA-256 is not the one the directory names"),
    ],
)
def test_the_last_bytes_are_not_given_out_before_the_digests_are_right(change: dict[str, object], cause: str) -> None:
    content = NOISE * 10
    sink = io.BytesIO()
    writer = ZipWriter(sink, WHEN)
    writer.add("a", io.BytesIO(content), **{**asdict(stored_facts(content)), **change})  # type: ignore[arg-type]
    directory = writer.close()
    stream = reader(sink.getvalue(), directory).open("a")
    got = 0
    with pytest.raises(MemberDamaged) as caught:
        while piece := stream.read(65_536):
            got += len(piece)
    assert str(caught.value) == f"unable to read 'a': {cause}"
    assert got == 1024 * 1024 < len(content)


def test_an_archive_that_ends_early_is_noticed() -> None:
    archive, directory = made({"a": NOISE}, False)
    tail = archive[directory.offset :]
    opened = ZipReader(
        lambda offset, length: archive[: len(NOISE) // 2][offset : offset + length], tail, directory.offset
    )
    with pytest.raises(MemberDamaged) as caught:
        opened.open("a").read()
    assert str(caught.value) == "unable to read 'a': the archive ends inside it"
