"""The index of a tree: parts of bounded size, read as they were written, refused when they are something else."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlg_backup.core.errors import MemberDamaged
from rlg_backup.format import tree_index
from rlg_backup.format.tree_index import IndexRow, IndexWriter, index_part, index_parts, read_index, read_names

READERS: list[Callable[[BinaryIO, str], Iterator[Any]]] = [read_index, read_names]


def row(path: bytes, *, value: bytes = b"") -> IndexRow:
    return IndexRow(path, "file", 0o644, 7, 3, b"", ((0, 4096),), ((b"user.note", value),), bytes(32), "files/x", False)


def part(*rows: IndexRow) -> io.BytesIO:
    file = io.BytesIO()
    writer = IndexWriter(file)
    for one in rows:
        writer.add(one)
    writer.close()
    return io.BytesIO(file.getvalue())


def test_rows_and_paths_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_index, "ROWS_AT_ONCE", 2)
    rows = [row(b"%d" % number, value=b"\xff") for number in range(5)]
    assert list(read_index(part(*rows), "p")) == rows
    named = [
        {"path": some, "target": [], "xattrs": [b"\xff"] * len(some)} for some in ([b"0", b"1"], [b"2", b"3"], [b"4"])
    ]
    assert list(read_names(part(*rows), "p")) == named
    assert list(read_index(part(), "p")) == []


def test_a_row_says_in_which_backup_its_content_lies() -> None:
    rows = [row(b"a"), replace(row(b"b"), backup="20261101T000000Z-00000001")]
    assert [one.backup for one in read_index(part(*rows), "p")] == [None, "20261101T000000Z-00000001"]


def test_an_index_from_before_there_were_changes_is_read() -> None:
    old = io.BytesIO()
    pq.write_table(pq.read_table(part(row(b"a"), row(b"b"))).drop(["backup"]), old)
    assert list(read_index(old, "p")) == [row(b"a"), row(b"b")]


def test_an_entry_without_content_cannot_have_it_in_another_backup() -> None:
    with pytest.raises(MemberDamaged) as caught:
        list(read_index(part(replace(row(b"a"), member=None, backup="20261101T000000Z-00000001")), "p"))
    assert str(caught.value) == "unable to read 'p': an entry without content is said to have it in another backup"


def test_a_part_is_full_by_its_rows_or_by_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tree_index.ROWS_IN_A_PART == 1_000_000
    monkeypatch.setattr(tree_index, "ROWS_IN_A_PART", 2)
    monkeypatch.setattr(tree_index, "BYTES_IN_A_PART", 5_000)
    by_rows, by_length = IndexWriter(io.BytesIO()), IndexWriter(io.BytesIO())
    by_rows.add(row(b"a"))
    assert not by_rows.full
    by_rows.add(row(b"b"))
    assert by_rows.full
    by_length.add(row(b"a", value=bytes(6_000)))
    assert by_length.full


def test_long_rows_are_not_collected_by_their_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_index, "BYTES_AT_ONCE", 5_000)
    file = part(row(b"a", value=bytes(6_000)), row(b"b", value=bytes(6_000)), row(b"c"), row(b"d"))
    parquet = pq.ParquetFile(file)
    sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    assert [size for size in sizes if size] == [1, 1, 2]


def test_the_parts_of_an_archive_are_all_that_must_be_there() -> None:
    assert index_part(12) == "files/index/part-00012.parquet"
    names = ["README.txt", "files/00/000000000000000000000000", index_part(1), index_part(0), "profile.json"]
    assert index_parts(names) == [index_part(0), index_part(1)]
    assert index_parts([index_part(0), index_part(2)]) == [index_part(0), index_part(1)]  # the hole is asked for
    assert index_parts(["README.txt"]) == [index_part(0)]


@pytest.mark.parametrize("read", READERS)
def test_a_member_that_is_no_part_is_damage_with_its_name(read: Callable[[BinaryIO, str], Iterator[Any]]) -> None:
    other = io.BytesIO()
    pq.write_table(pa.table({"path": [b"a"]}), other)
    name = index_part(3)
    for content, cause in (
        (b"no Parquet", "it is not a Parquet file of entries (ArrowInvalid)"),
        (other.getvalue(), "its columns are not those of an index"),
    ):
        with pytest.raises(MemberDamaged) as caught:
            list(read(io.BytesIO(content), name))
        assert str(caught.value) == f"unable to read 'files/index/part-00003.parquet': {cause}"
