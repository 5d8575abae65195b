"""Parts of what the change state knows of a tree's files."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest

from rlg_backup.core.errors import MemberDamaged
from rlg_backup.format import tree_state
from rlg_backup.format.tree_state import FileIdentity, FileRow, read_files, write_files

ROWS = [FileRow(b"%016d" % n, b"%032d" % n, n * 2**33, n, b"%012d" % n) for n in range(3)]


def written(rows: list[FileRow]) -> bytes:
    sink = io.BytesIO()
    write_files(sink, rows)
    return sink.getvalue()


def test_rows_come_back() -> None:
    columns = read_files(io.BytesIO(written(ROWS)), "p")
    names = ("identity", "sha256", "size", "backup", "place")
    cells = zip(*([bytes(one) if one.ndim else int(one) for one in columns[name]] for name in names), strict=True)
    assert [FileRow(*row) for row in cells] == ROWS


def test_an_identity_is_of_all_that_stays_the_same_while_a_file_does() -> None:
    """As FORMAT.md says, by the standard library; whatever differs gives another."""
    identity = FileIdentity(bytes(range(32)))
    one = {"size": 3, "mtime_ns": -5, "ctime_ns": 7, "inode": 2**60, "mode": 0o644}
    assert identity.of(b"a/\xff", **one).hex() == "e56e57542301ba0ef8ddef8b013b6542"
    others = [identity.of(b"a/\xff", **{**one, name: value + 1}) for name, value in one.items()]
    others += [identity.of(b"a", **one), FileIdentity(bytes(32)).of(b"a/\xff", **one)]
    assert len({identity.of(b"a/\xff", **one), *others}) == 8


def refused(data: bytes) -> str:
    with pytest.raises(MemberDamaged) as caught:
        read_files(io.BytesIO(data), "files/part-00007.parquet")
    return str(caught.value)


def test_what_is_no_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    no_part = "unable to read 'files/part-00007.parquet': it is not a part of a tree's files"
    table = pq.read_table(io.BytesIO(written(ROWS)))
    other = io.BytesIO()
    pq.write_table(table.drop(["place"]), other)
    empty = io.BytesIO()
    pq.write_table(table.slice(0, 0), empty)
    assert refused(other.getvalue()) == no_part
    assert refused(empty.getvalue()) == no_part
    assert refused(b"PAR1") == "unable to read 'files/part-00007.parquet': it is not a Parquet part (ArrowInvalid)"
    monkeypatch.setattr(tree_state, "PART_ROWS", 2)
    assert refused(written(ROWS)) == no_part
