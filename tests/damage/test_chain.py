"""A chain of tables: its ancestors damaged in every place, and archives that somebody signed who should not have."""

from __future__ import annotations

import io
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.damage.peeled import members_of, packed, plaintext_of, sign_for
from tests.damage.tiny import Tiny, archive_key, undone
from tests.damage.trials import BITS, Trial, cuts, flips, growths
from tests.support.compare import assert_databases_equal

from rlg_backup.core.errors import BackupError, MemberDamaged, ObjectDamaged
from rlg_backup.core.model import Kind, Verdict
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import Chosen, choose
from rlg_backup.engine.verify import verify
from rlg_backup.format.canonical import serialize
from rlg_backup.format.row_numbers import write_numbers

REMOVED = "removed/main.forms/part-00000.parquet"


@pytest.fixture(scope="module")
def chain(template: Tiny) -> list[Chosen]:
    """A full backup and two incremental ones, of which each has rows that came and rows that went."""
    made = []
    for kind in (Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL):
        done = backup(template.wiring, "app", kind)
        assert (done.complete, done.kind) == (True, kind.value), done.warnings
        made.append(choose(template.wiring, "app", done.backup_id))
        if len(made) < 3:
            with sqlite3.connect(template.world.root / "app.db") as connection:
                connection.execute("UPDATE forms SET real = ? WHERE id = 1", (len(made),))
                connection.execute("INSERT INTO forms (words) VALUES ('new')")
    return made


@pytest.fixture
def tiny(template: Tiny, chain: list[Chosen]) -> Iterator[Tiny]:
    with undone(template):
        yield template


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "app.db"


def refused(tiny: Tiny, out: Path) -> BackupError:
    """What the restore of the newest ends with; nothing is left at its destination, nor in staging."""
    with pytest.raises(BackupError) as caught:
        restore(tiny.wiring, "app", "latest", str(out))
    assert list(out.parent.iterdir()) == []
    assert tiny.world.staged() == []
    return caught.value


# --- an ancestor's archive --------------------------------------------------------------------------


def of_every_place(sound: bytes, header: int) -> Iterator[Trial]:
    """Another bit of bytes of the header, of the payload's nonce, all over its chunk, and of the chunk's tag."""
    places = {*range(0, header, 6), *range(header, len(sound), 500), header + 15, len(sound) - 16, len(sound) - 1}
    by_bit = (trial for number, trial in enumerate(flips(sound, BITS)) if number % 8 == trial.at % 8)
    return (trial for trial in by_bit if trial.at in places)


@pytest.mark.parametrize("number", [0, 1], ids=["the full one", "one between"])
def test_a_flipped_bit_in_an_ancestors_archive_is_refused_and_nothing_is_restored(
    tiny: Tiny, chain: list[Chosen], out: Path, number: int
) -> None:
    key = archive_key(chain[number])
    sound, header = tiny.storage.bytes_of(key), chain[number].manifest.archives[0].header_size
    trials = list(of_every_place(sound, header))
    assert len(trials) > 60
    others = itertools.chain(itertools.islice(cuts(sound), 0, None, 400), itertools.islice(growths(sound), 0, None, 60))
    for trial in (*trials, *others):
        tiny.storage.plant(key, trial.data)
        error = refused(tiny, out)
        text = f"unable to fetch '{key}': target 'local' holds other bytes than the manifest names"
        assert (type(error), str(error)) == (ObjectDamaged, text), trial.what


@pytest.mark.parametrize("name", ["default.zip.age", "manifest.json"])
def test_a_sound_copy_of_an_ancestor_on_another_target_is_taken_and_that_is_said(name: str, tmp_path: Path) -> None:
    tiny = Tiny.make(tmp_path / "world", "local", "second")
    (tmp_path / "out").mkdir()
    ids = [backup(tiny.wiring, "app", kind).backup_id for kind in (Kind.FULL, Kind.INCREMENTAL)]
    key = f"app/{ids[0]}/{name}"
    tiny.storage.plant(key, next(flips(tiny.storage.bytes_of(key))).data)
    done = restore(tiny.wiring, "app", "latest", str(tmp_path / "out" / "app.db"))
    assert done.chain == tuple(ids)
    assert_databases_equal(tiny.world.root / "app.db", tmp_path / "out" / "app.db")
    why = {
        "default.zip.age": f"unable to fetch '{key}': target 'local' holds other bytes than the manifest names",
        "manifest.json": f"unable to verify '{key}': its SHA-256 is not the one that was committed",
    }
    told = [warning for warning in done.warnings if "not used" in warning]
    assert told == [f"the copy on target 'local' was not used: {why[name]}"]


# --- archives that are signed and wrong -------------------------------------------------------------

Members = dict[str, bytes]
Document = dict[str, Any]


def signed(tiny: Tiny, chosen: Chosen, change: Callable[[Members, Document], object]) -> None:
    """The archive with other members and another profile, as a thief of the signing key would make it."""
    members = members_of(plaintext_of(tiny, chosen))
    document = json.loads(members["profile.json"])
    change(members, document)
    members["profile.json"] = serialize(document, "profile.json")
    sign_for(tiny, chosen, packed(members))


def numbers(*rows: tuple[int, int]) -> bytes:
    sink = io.BytesIO()
    first, second = np.array(rows, np.uint64).reshape(-1, 2).T
    write_numbers(sink, (first, second))
    return sink.getvalue()


def table(profile: Document) -> Document:
    found: Document = profile["tables"][0]
    return found


def nothing_removed(members: Members, profile: Document) -> None:
    members.pop(REMOVED)
    table(profile)["change"].update(removed=[], removed_rows=0)


def removed_twice(members: Members, profile: Document) -> None:
    other = REMOVED.replace("00000", "00001")
    members[other] = members[REMOVED]
    table(profile)["change"].update(removed=[REMOVED, other], removed_rows=2)


TORN = "unable to read 'main.forms': it says what changed of a table that the backup before it does not hold as it was"
Change = Callable[[Members, Document], object]

KEY = "unable to load 'forms': its rows repeat a key, or lack one"

# What the archive is like > how it is made so, the restore's error, and what a full verification says.
FORGED: dict[str, tuple[Change, str, tuple[str, str] | None]] = {
    "lacks a member of removed rows": (
        lambda members, profile: members.pop(REMOVED),
        f"unable to read '{REMOVED}': the archive has no such member",
        ("archive", f"unable to read '{REMOVED}': the archive has no such member"),
    ),
    "has a member of removed rows that is none": (
        lambda members, profile: members.update({REMOVED: b"PAR1"}),
        f"unable to read '{REMOVED}': it is not a Parquet part (ArrowInvalid)",
        ("archive", f"unable to read '{REMOVED}': it is not a Parquet part (ArrowInvalid)"),
    ),
    "has rows in place of removed ones": (
        lambda members, profile: members.update({REMOVED: members["data/main.forms/part-00000.parquet"]}),
        f"unable to read '{REMOVED}': it is not a part of row numbers",
        ("archive", f"unable to read '{REMOVED}': it is not a part of row numbers"),
    ),
    "has fewer removed rows than it says": (
        lambda members, profile: members.update({REMOVED: numbers()}),
        KEY,
        ("members", "2 rows, digest equal; 0 removed"),
    ),
    "removes a row that never was": (lambda members, profile: members.update({REMOVED: numbers((1, 2))}), KEY, None),
    "leaves out what went": (nothing_removed, TORN, ("chain", TORN)),
    "removes one row twice": (removed_twice, TORN, ("chain", TORN)),
    "is of another key": (lambda members, profile: profile.update(digest_key="0" * 64), TORN, ("chain", TORN)),
    "is of another definition": (
        lambda members, profile: table(profile).update(fingerprint="0" * 64),
        TORN,
        ("chain", TORN),
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_an_archive_is_refused_that(what: str, tiny: Tiny, chain: list[Chosen], out: Path) -> None:
    change, text, told = FORGED[what]
    signed(tiny, chain[-1], change)
    error = refused(tiny, out)
    assert (type(error), str(error)) == (MemberDamaged, text)
    wrong = [check for check in verify(tiny.wiring, "app", full=True).checks if check.verdict is not Verdict.PASS]
    if told is None:  # every number is one of a row, and which rows there are is in the archives before
        assert wrong == []
    else:
        assert (Verdict.FAIL, *told) in [(check.verdict, check.group, check.measured) for check in wrong]


def test_the_same_forgery_without_a_change_is_restored_and_passes(tiny: Tiny, chain: list[Chosen], out: Path) -> None:
    """What the tests above rely on: it is the change that is refused."""
    signed(tiny, chain[-1], lambda members, profile: None)
    assert verify(tiny.wiring, "app", full=True).verdict is Verdict.PASS
    restore(tiny.wiring, "app", "latest", str(out))
    assert_databases_equal(tiny.world.root / "app.db", out)
