"""The memory of the newest heads: never backwards, never reset in silence."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rlg_backup.catalog import SeenHead, SeenHeads
from rlg_backup.core.errors import CatalogForged, DocumentDamaged, InvalidSetting

A, B = "a" * 64, "b" * 64


def test_nothing_is_seen_before_the_file_exists(tmp_path: Path) -> None:
    assert SeenHeads(tmp_path / "state" / "seen.json").get("nas", "rlg_data") is None
    assert not (tmp_path / "state").exists()


def test_a_head_is_remembered_for_its_target_and_source_only_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "state" / "seen.json"
    old = os.umask(0)
    try:
        SeenHeads(path).remember("nas", "rlg_data", SeenHead(3, A))
    finally:
        os.umask(old)
    again = SeenHeads(path)
    assert again.get("nas", "rlg_data") == SeenHead(3, A)
    assert again.get("nas", "rlg_fans") is None
    assert again.get("s3", "rlg_data") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(item.name for item in path.parent.iterdir()) == ["seen.json", "seen.json.lock"]


def test_an_older_head_never_replaces_a_newer_one(tmp_path: Path) -> None:
    seen = SeenHeads(tmp_path / "seen.json")
    for sequence in (2, 5, 4, 1):
        seen.remember("nas", "rlg_data", SeenHead(sequence, A))
    assert seen.get("nas", "rlg_data") == SeenHead(5, A)


def test_another_record_with_the_sequence_seen_is_forged(tmp_path: Path) -> None:
    seen = SeenHeads(tmp_path / "seen.json")
    seen.remember("nas", "rlg_data", SeenHead(5, A))
    seen.remember("nas", "rlg_data", SeenHead(5, A))
    with pytest.raises(CatalogForged) as caught:
        seen.remember("nas", "rlg_data", SeenHead(5, B))
    assert str(caught.value) == (
        "unable to remember 'catalog/rlg_data': record 00000005 on target 'nas' is not the one seen before\n"
        "hint: compare with the source's other targets before restoring from this one"
    )


HEADS = {"nas": {"rlg_data": {"sequence": 3, "sha256": A}}}


def file_of(heads: object, **changes: object) -> bytes:
    """A file with the digest of what it says."""
    digest = hashlib.sha256(json.dumps(heads).encode()).hexdigest()
    return json.dumps({"version": 2, "heads": heads, "sha256": digest} | changes, indent=1).encode()


def heads(**head: object) -> dict[str, object]:
    return {"nas": {"rlg_data": HEADS["nas"]["rlg_data"] | head}}


def test_a_file_with_its_digest_is_read(tmp_path: Path) -> None:
    (tmp_path / "seen.json").write_bytes(file_of(HEADS))
    assert SeenHeads(tmp_path / "seen.json").get("nas", "rlg_data") == SeenHead(3, A)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 5000,
        file_of(HEADS)[:-1],
        file_of(HEADS) + b"\n",
        file_of(HEADS).replace(b"rlg_data", b"rlg_fans"),  # a head that would be forgotten
        file_of(HEADS).replace(b"nas", b"nat"),
        file_of(HEADS).replace(b"3,", b"2,"),
        file_of(HEADS, version=3),
        file_of(HEADS, version=True),
        file_of(HEADS, more=1),
        json.dumps({"version": 1, "heads": HEADS}).encode(),
        file_of(heads(sequence=0)),
        file_of(heads(sequence=3.0)),
        file_of(heads(sequence=True)),
        file_of(heads(sha256=A[1:])),
        file_of(heads(sha256=None)),
        file_of(heads(more=1)),
        file_of({"nas": 3}),
        file_of({"nas": {"rlg_data": {"sequence": 3}}}),
        file_of({"nas": {}}),
        b'{"version": 1, "heads": {"nas": {}, "nas": {}}}',
    ],
)
def test_a_damaged_file_is_an_error_and_is_neither_reset_nor_overwritten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "seen.json"
    path.write_bytes(content)
    seen = SeenHeads(path)
    uses: tuple[Callable[[], object], ...] = (
        partial(seen.get, "nas", "rlg_data"),
        partial(seen.remember, "nas", "rlg_data", SeenHead(9, A)),
    )
    for use in uses:
        with pytest.raises(DocumentDamaged) as caught:
            use()
        assert str(caught.value) == (
            f"unable to read '{path}': it is not a file of seen heads\n"
            "hint: restore the file from a copy; without one, compare the targets with each other before removing it"
        )
    assert path.read_bytes() == content


def test_a_path_that_cannot_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    hint = "hint: the file of seen heads needs a folder this user owns"
    with pytest.raises(InvalidSetting) as caught:
        SeenHeads(tmp_path).get("nas", "rlg_data")
    assert str(caught.value) == f"unable to read '{tmp_path}': is a directory\n{hint}"
    with pytest.raises(InvalidSetting) as caught:
        SeenHeads(tmp_path / "file" / "seen.json").remember("nas", "rlg_data", SeenHead(1, A))
    assert str(caught.value) == f"unable to lock '{tmp_path / 'file' / 'seen.json'}': file exists\n{hint}"


def _remember(path: Path, first: int) -> None:
    for sequence in range(first, 41, 4):
        SeenHeads(path).remember("nas", "rlg_data", SeenHead(sequence, A))
        SeenHeads(path).remember("nas", f"source_{first}", SeenHead(sequence, A))


def test_processes_that_remember_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_remember, args=(path, first)) for first in (1, 2, 3, 4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    seen = SeenHeads(path)
    assert seen.get("nas", "rlg_data") == SeenHead(40, A)
    assert [seen.get("nas", f"source_{first}") for first in (1, 2, 3, 4)] == [SeenHead(n, A) for n in (37, 38, 39, 40)]


def test_a_file_of_before_it_held_a_digest_is_read_and_gets_one_with_the_next_head(tmp_path: Path) -> None:
    old = {"version": 1, "heads": {"local": {"app": {"sequence": 3, "sha256": "3" * 64}}}}
    path = tmp_path / "seen.json"
    path.write_text(json.dumps(old, indent=1))
    heads = SeenHeads(path)
    assert heads.get("local", "app") == SeenHead(3, "3" * 64)
    heads.remember("local", "app", SeenHead(4, "4" * 64))
    assert json.loads(path.read_bytes()).keys() == {"version", "heads", "sha256"}
    assert heads.get("local", "app") == SeenHead(4, "4" * 64)
