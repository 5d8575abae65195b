"""What is known of a tree's files: found by what they are and by what they hold, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rlg_backup.core.errors import MemberDamaged
from rlg_backup.engine.known_files import KnownContent, KnownFiles
from rlg_backup.format.tree_state import UNSURE, Column

BACKUPS = ("20261101T000000Z-00000001", "20261102T000000Z-00000002")


def part(*rows: tuple[bytes, bytes, int, int, bytes]) -> dict[str, Column]:
    """Columns of rows: identity, SHA-256, size, backup, place."""
    columns: list[Any] = list(zip(*rows, strict=True))
    texts = [np.frombuffer(b"".join(columns[place]), np.uint8).reshape(len(rows), -1) for place in (0, 1, 4)]
    numbers = np.array(columns[2], np.int64), np.array(columns[3], np.uint16)
    return dict(zip(("identity", "sha256", "size", "backup", "place"), (*texts[:2], *numbers, texts[2]), strict=True))


ROWS = [
    (b"B" * 16, b"\xff" * 32, 7, 1, b"b" * 12),
    (b"A" * 8 + b"z" * 8, b"\xff" * 8 + bytes(24), 7, 0, b"a" * 12),
    (b"A" * 8 + b"y" * 8, b"\xff" * 8 + bytes(24), 8, 0, b"c" * 12),
    (UNSURE, bytes(32), 0, 0, b"d" * 12),
]


def content(row: tuple[bytes, bytes, int, int, bytes]) -> KnownContent:
    return KnownContent(row[1], row[2], BACKUPS[row[3]], row[4])


@pytest.fixture
def known() -> KnownFiles:
    return KnownFiles(iter([part(*ROWS[:1]), part(*ROWS[1:])]), 4, BACKUPS)


def test_a_file_is_found_by_its_whole_identity(known: KnownFiles) -> None:
    assert [known.unchanged(row[0]) for row in ROWS[:3]] == [content(row) for row in ROWS[:3]]
    for other in (b"A" * 16, b"C" * 16, bytes(15) + b"\1", b"\xff" * 16):
        assert known.unchanged(other) is None


def test_one_that_may_have_changed_without_a_trace_is_not_found(known: KnownFiles) -> None:
    assert known.unchanged(UNSURE) is None


def test_a_content_is_found_by_its_whole_digest_and_its_size(known: KnownFiles) -> None:
    assert [known.holds(row[1], row[2]) for row in ROWS] == [content(row) for row in ROWS]
    for sha256, size in ((b"\xff" * 32, 8), (b"\xff" * 8 + bytes(23) + b"\1", 7), (b"\x80" * 32, 7), (bytes(32), 1)):
        assert known.holds(sha256, size) is None


def test_sizes_that_some_content_has(known: KnownFiles) -> None:
    assert [size for size in range(10) if known.has_size(size)] == [0, 7, 8]


@pytest.mark.parametrize("files", [3, 5])
def test_parts_that_hold_another_number_of_files_are_refused(files: int) -> None:
    with pytest.raises(MemberDamaged) as caught:
        KnownFiles(iter([part(*ROWS)]), files, BACKUPS)
    assert str(caught.value) == "unable to read 'state.json': its parts do not add up to the files of its tree"


def test_a_file_in_a_backup_that_is_not_named_is_refused() -> None:
    with pytest.raises(MemberDamaged) as caught:
        KnownFiles(iter([part(*ROWS)]), 4, BACKUPS[:1])
    cause = "a file of the tree lies in a backup that is none of its chain"
    assert str(caught.value) == f"unable to read 'state.json': {cause}"


def test_a_file_takes_less_than_a_hundred_bytes() -> None:
    count, chance = 400_000, np.random.default_rng(7)

    def parts() -> Iterator[dict[str, Column]]:
        for _ in range(10):
            rows = count // 10
            texts = {"identity": 16, "sha256": 32, "place": 12}
            columns: dict[str, Column] = {
                name: chance.integers(0, 256, (rows, width), np.uint8) for name, width in texts.items()
            }
            yield {**columns, "size": chance.integers(0, 2**40, rows), "backup": np.zeros(rows, np.uint16)}

    tracemalloc.start()
    try:
        known = KnownFiles(parts(), count, BACKUPS)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100 * count
    assert most < 140 * count  # while it is sorted
    assert known.unchanged(bytes(15) + b"\1") is None
