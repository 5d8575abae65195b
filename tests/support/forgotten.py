"""People who asked to be forgotten, in the small project's database."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.support.world import Ran, World

RULES: dict[str, Any] = {"table": "people", "column": "id", "tables": {"orders": {"through": "person"}}}


def with_erasures(world: World, **rules: Any) -> World:
    """The project, in which a person's key is the id of their row in ``people``, and their orders go with them."""
    world.settings["erasure"] = {"key": "file:keys/shared/erasure.key", "subjects": {"person": {"app": RULES | rules}}}
    world.save()
    return world


def erase(world: World, subject: str, *more: str) -> Ran:
    return world.run("erase", "--subject", subject, "--json", *more)


def erased(world: World, *subjects: str) -> None:
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
