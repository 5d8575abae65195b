"""A golden archive under way: what its features are made with."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.world import World
from tests.vectors import listing


@dataclass
class Golden:
    """One archive under way: the world it is made in, and what will be expected of it.

    ``says`` are facts written by hand: dotted places in the manifest or the profile > value. ``reading`` are settings
    that a reader of the archive needs, too: as they stand in a configuration.
    """

    world: World
    backups: list[dict[str, Any]] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        return self.world.root / "source"

    @property
    def targets(self) -> list[str]:
        return list(self.world.settings["targets"])

    def settings(self, **more: Any) -> None:
        self.world.source.clear()
        self.world.source.update({"targets": self.targets, **more})
        self.world.save()

    def database(self, *statements: str, **more: Any) -> sqlite3.Connection:
        """The source is a database; the statements make it."""
        self.settings(type="sqlite", path="source", **more)
        connection = sqlite3.connect(self.source, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        return connection

    def tree(self, **more: Any) -> bytes:
        """The source is a tree; returns its root, which is there."""
        self.settings(type="files", path="source", **more)
        self.source.mkdir()
        return os.fsencode(self.source)

    def back_up(self, *, kind: str = "full", content: dict[str, Any] | None = None, **says: Any) -> None:
        """Backs up; ``content`` is what a restore must give, by default what the source holds."""
        backup_id = self.world.back_up("app", kind=kind)
        what = "tree" if self.source.is_dir() else "database"
        content = content or {what: getattr(listing, what)(self.source)}
        self.backups.append({"backup_id": backup_id, **content, **says})


FEATURES: dict[str, Callable[[Golden], None]] = {}


def feature(make: Callable[[Golden], None]) -> Callable[[Golden], None]:
    FEATURES[make.__name__] = make
    return make
