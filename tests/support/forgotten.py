"""People who asked to be forgotten, in the small project's database."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.world import Ran, World

from rlg_backup.format.erasure import ErasureEntry, Written, path_of
from rlg_backup.format.keys import SigningKey

RULES: dict[str, Any] = {"table": "people", "column": "id", "tables": {"orders": {"through": "person"}}}


def with_erasures(world: World, **rules: Any) -> World:
    """The project, in which a person's key is the id of their row in ``people``, and their orders go with them."""
    world.settings["erasure"] = {"key": "file:keys/shared/erasure.key", "subjects": {"person": {"app": RULES | rules}}}
    world.save()
    return world


def erase(world: World, subject: str, *more: str) -> Ran:
    return world.run("erase", "--subject", subject, "--json", *more)


def erased(world: World, *subjects: str) -> None:
    """Requests as a backup worker records them, which opens no backup to try them on."""
    identities = world.settings["encryption"].pop("identities")
    world.save()
    try:
        _erase_all(world, subjects)
    finally:
        world.settings["encryption"]["identities"] = identities
        world.save()


def _erase_all(world: World, subjects: tuple[str, ...]) -> None:
    for subject in subjects:
        done = erase(world, subject)
        assert done.code == 0, done.out + done.err


def restored(world: World, which: str, name: str = "back.db", *more: str) -> Ran:
    return world.run("restore", which, "--to", world.root / name, "--json", *more)


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def entries(world: World, target: str = "local") -> list[Path]:
    """The ledger's entries on a target, in order."""
    return sorted((world.target(target) / "erasures").glob("*.json"))


def forge(world: World, signing: SigningKey, *, kind: str = "person", key: str = "0" * 16) -> int:
    """An entry that somebody else signed with a key, behind what each target has; returns its number."""
    there = entries(world)
    before = Written.parse(there[-1].read_bytes(), path=path_of(len(there))) if there else None
    one = ErasureEntry(
        sequence=len(there) + 1,
        previous_sha256=before.sha256 if before else None,
        requested_at=datetime(2026, 1, 1, tzinfo=UTC),
        kind=kind,
        key=key,
        subject="a" * 64,
        reason="request",
    ).sign(signing)
    for target in world.targets:
        place = world.target(target) / one.entry.path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(one.data)
    return one.entry.sequence
