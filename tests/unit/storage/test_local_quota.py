"""A folder that may hold no more than its quota."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rlg_backup.core.errors import StorageFull
from rlg_backup.storage.local import LocalStorage

HINT = "hint: keep less ('rlg-backup expire --dry-run' says what is kept), or raise it"


def put(storage: LocalStorage, key: str, path: Path, done: list[int] | None = None) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    storage.put_file(key, path, sha256=digest, progress=(done if done is not None else []).append)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(600))
    return path


def test_a_file_may_fill_the_quota_and_one_byte_more_is_refused_before_any_is_written(
    tmp_path: Path, file: Path
) -> None:
    storage = LocalStorage("nas", tmp_path / "nas", quota=1200)
    put(storage, "app/a", file)
    put(storage, "app/b", file)
    file.write_bytes(b"x")
    done: list[int] = []
    with pytest.raises(StorageFull) as caught:
        put(storage, "app/c", file, done)
    assert str(caught.value) == (
        f"unable to store 'app/c': it has 1 bytes, and target 'nas' holds 1,200 of its quota of 1,200\n{HINT}"
    )
    assert done == []
    assert [info.key for info in storage.list("")] == ["app/a", "app/b"]


def test_what_another_writer_stored_meanwhile_counts(tmp_path: Path, file: Path) -> None:
    mine, other = (LocalStorage("nas", tmp_path / "nas", quota=1000) for _ in range(2))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(StorageFull) as caught:
        mine.put_file("app/a", file, sha256=digest, progress=lambda _: other.put_bytes("app/b", bytes(500)))
    assert caught.value.cause == "it has 600 bytes, and target 'nas' holds 500 of its quota of 1,000"
    assert [info.key for info in mine.list("")] == ["app/b"]
    assert not list((tmp_path / "nas").glob(".tmp-*"))


def test_small_objects_are_stored_beyond_it_so_that_something_can_be_removed(tmp_path: Path) -> None:
    storage = LocalStorage("nas", tmp_path / "nas", quota=10)
    storage.put_bytes("catalog/app/record", bytes(100))
    assert storage.stat("catalog/app/record").size == 100
