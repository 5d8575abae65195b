"""Archives made by earlier releases open for ever: each is restored by the command line.

What they are and why none is ever made again: tests/vectors/archives/README.md.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.golden import ARCHIVES, LARGEST, NAMES, Golden, every_golden_archive, prepare
from tests.support.postgres_server import NEWEST, Servers, address_of, drop_database, servers
from tests.support.postgres_world import connected
from tests.support.tree_torture import has_attributes
from tests.vectors import listing

from rlg_backup.format.row_numbers import read_numbers

__all__ = ["every_golden_archive", "servers"]

Restore = Callable[[Golden, dict[str, Any], tuple[str, ...], Path], dict[str, Any]]


@pytest.fixture
def restored(servers: Servers) -> Iterator[Restore]:
    """What a backup holds once it is restored to a place (of PostgreSQL: to a database of its name)."""
    with ExitStack() as stack:

        def listed(golden: Golden, backup: dict[str, Any], giver: tuple[str, ...], place: Path) -> dict[str, Any]:
            kind, to = golden.expected["type"], str(place)
            if kind == "postgres":
                there = address_of(servers[NEWEST], place.name)
                stack.enter_context(connected(there=there))
                stack.callback(drop_database, servers[NEWEST], place.name)
                to = f"postgres:there/{place.name}"
            done = golden.run("restore", backup["backup_id"], *giver, "--to", to, "--accept-masked", "--json")
            assert done.code == 0, done.err
            assert {check["verdict"] for check in done.json["checks"]} <= {"PASS"}
            if kind == "postgres":
                return listing.postgres(there)
            return listing.tree(place) if kind == "files" else listing.database(place)

        yield listed


def test_each_backup_comes_back_from_each_of_its_targets_as_it_was(
    golden: Golden, restored: Restore, tmp_path: Path
) -> None:
    kind = "tree" if golden.expected["type"] == "files" else "database"
    for backup in golden.backups:
        for number, giver in enumerate(golden.givers):
            found = restored(golden, backup, giver, tmp_path / f"from-{number}-{backup['backup_id']}")
            assert found == backup[kind]


def test_verify_reads_every_byte_of_each_and_passes(golden: Golden) -> None:
    """But of a tree with a file that never rested, of which nobody can say what it was at the snapshot."""
    for backup in golden.backups:
        expected = (3, "COULD-NOT-VERIFY") if "unstable" in backup else (0, "PASS")
        for target in golden.targets:
            done = golden.run("verify", backup["backup_id"], "--target", target, "--full", "--json")
            assert (done.code, done.json["verdict"]) == expected, done.out + done.err


def test_manifest_and_profile_say_what_was_written_down_by_hand(golden: Golden) -> None:
    for number, backup in enumerate(golden.backups):
        profile = json.loads(golden.archive(number).read("profile.json", limit=1 << 20))
        for document, what in ((golden.manifest(number), "manifest"), (profile, "profile")):
            for place, value in backup.get(what, {}).items():
                assert (place, at(document, place)) == (place, value)


def at(document: Any, place: str) -> Any:
    """A value by its dotted place; what is in a list of named things, by its name (which may hold dots)."""
    if isinstance(document, list) and place:
        (item,) = [item for item in document if place.startswith(f"{item['name']}.")]
        return at(item, place.removeprefix(f"{item['name']}."))
    step, _, rest = place.partition(".")
    return at(document[step], rest) if rest else document[step]


@pytest.mark.parametrize("name", [name for name in NAMES if (ARCHIVES / name / "keys" / "state.key").exists()])
def test_change_states_open_and_their_parts_have_the_rows_that_they_tell(name: str, tmp_path: Path) -> None:
    golden = prepare(name, tmp_path / "golden")
    for number in (0, -1):  # the others were taken away
        state, members = golden.state(number)
        told = {table.name: (table.rows, table.digest) for table in state.tables}
        tables = golden.archive(number).profile().tables
        assert told == {table.name: (table.rows, table.digest.restored) for table in tables}
        for table in state.tables:
            for part in table.parts:
                data = io.BytesIO(members.read(part.member, limit=LARGEST))
                numbers, addresses = read_numbers(data, part.member, addressed=table.storage is not None)
                assert len(numbers[0]) == part.rows
                if addresses is not None:
                    assert (addresses.place[0], addresses.place[-1]) == (part.first, part.last)


def test_index_says_holes_attributes_and_what_never_rested(golden: Golden, restored: Restore, tmp_path: Path) -> None:
    (backup, *_) = golden.backups
    rows = {listing.printable(row.path): row for row in golden.index()}
    assert [path for path, row in rows.items() if row.holes] == backup.get("holes", [])
    assert [path for path, row in rows.items() if row.unstable] == backup.get("unstable", [])
    attributes = {path: {n.decode(): v.hex() for n, v in row.xattrs} for path, row in rows.items() if row.xattrs}
    assert attributes == backup.get("xattrs", {})
    if attributes and has_attributes(tmp_path):
        place = tmp_path / "place"
        restored(golden, backup, golden.givers[0], place)
        assert {path: listing.attributes(place / path) for path in attributes} == attributes
