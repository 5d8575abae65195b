"""A project of its own in a folder: keys, a configuration, sources, targets; and its command line, in this process."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import os
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from rlg_backup.cli.main import main
from rlg_backup.cli.setup_commands import KEY_FILES, write_keys
from rlg_backup.config.load import load
from rlg_backup.core.model import Kind
from rlg_backup.engine.backup import backup
from rlg_backup.engine.wiring import Wiring

# Values that are nowhere but in the source: what must not be found in the clear anywhere else.
EMAILS = ("miriam.peretz@example.org", "thabo.nkosi@example.org", "nobody.else@example.org")
PHONES = ("+27 11 555 0143", "+972 2 555 0199", "+44 20 7946 0958")
WORDS = ("hippopotamus", "xylophone", "quicksilver")


@dataclass(frozen=True)
class Ran:
    """What a command did: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*arguments: str | Path) -> Ran:
    """The real command line, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


@dataclass
class World:
    """``settings`` is the configuration as data; ``save`` writes it, every command reads it again."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)
    public: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, root: Path, *, post_quantum: bool = False, targets: tuple[str, ...] = ("local",)) -> World:
        """A small database as the source ``app``, one local target for each name."""
        root.mkdir(parents=True, exist_ok=True)
        world = cls(root, public=write_keys(root / "keys", post_quantum))
        make_people(root / "app.db")
        key = {what: f"file:keys/{place}" for what, place in KEY_FILES.items()}
        world.settings = {
            "version": 1,
            "staging": {"folder": "staging", "key": key["staging"]},
            "state": "state",
            "retries": {"times": 1, "wait_seconds": 0},
            "encryption": {
                "recipients": [world.public["identity"], world.public["escrow"]],
                "identities": [key["identity"]],
            },
            "change_state": {"recipients": [world.public["state"]], "identities": [key["state"]]},
            "signing": {"key": key["signing"], "trusted": [world.public["signing"]]},
            "tokenization": {"key": key["tokenization"]},
            "targets": {name: {"type": "local", "path": f"backups-{name}"} for name in targets},
            "sources": {"app": {"type": "sqlite", "path": "app.db", "targets": list(targets), "policies": POLICIES}},
        }
        world.save()
        return world

    def copy(self, root: Path) -> World:
        """The same project in another folder, with everything it has done so far."""
        shutil.copytree(self.root, root)
        return World(root, copy.deepcopy(self.settings), self.public)

    @property
    def config(self) -> Path:
        return self.root / "backup.yaml"

    @property
    def source(self) -> dict[str, Any]:
        """The settings of the first source."""
        return next(iter(self.settings["sources"].values()))

    def save(self) -> None:
        plain = json.loads(json.dumps(self.settings))  # a value that stands twice would become an alias
        self.config.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), "utf-8")

    def run(self, *arguments: str | Path) -> Ran:
        return run("--config", self.config, *arguments)

    def wiring(self, **given: Any) -> Wiring:
        return Wiring(load(self.config), base=self.root, **given)

    def back_up(self, source: str | None = None, *, kind: str = "full") -> str:
        """Backs up and expects it to succeed; returns the backup's id."""
        named = source or next(iter(self.settings["sources"]))
        done = self.run("backup", "--json", "--source", named, "--kind", kind)
        assert done.code == 0, done.out + done.err
        return str(done.json[0]["backup_id"])

    def back_up_ago(self, days: float, source: str = "app", *, kind: str = "full") -> str:
        """A backup as it was made so many days ago: its run's clock stood there. Returns its id."""
        wiring = self.wiring(clock=lambda: datetime.now(UTC) - timedelta(days=days))
        done = backup(wiring, source, Kind(kind))
        assert (done.complete, done.kind) == (True, kind), done
        return done.backup_id

    def target(self, name: str = "local") -> Path:
        return self.root / f"backups-{name}"

    def records(self, target: str = "local", source: str = "app") -> list[Path]:
        """The commit records of a source, oldest first."""
        folder = self.target(target) / "catalog" / source
        return sorted(path for path in folder.glob("*.json") if path.name != "lease.json")

    def objects(self, target: str = "local") -> dict[str, str]:
        """Every object but leases, with its digest: what a failure must leave as it was."""
        root = self.target(target)
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*") if root.is_dir() else ())
            if path.is_file() and path.name != "lease.json" and not path.name.startswith(".")
        }

    def staged(self) -> list[str]:
        """What lies in staging."""
        folder = self.root / "staging"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.is_dir() else []

    def state(self) -> tuple[Any, ...]:
        """Everything a failed command must leave as it was: the source, the restore points, an empty staging."""
        source = hashlib.sha256(dump(self.root / "app.db").encode()).hexdigest()
        records = [{n: d for n, d in self.objects(t).items() if n.startswith("catalog/")} for t in self.targets]
        return source, records, self.staged()

    @property
    def targets(self) -> list[str]:
        """The names of the targets that hold something, whatever the configuration says by now."""
        return sorted(path.name.removeprefix("backups-") for path in self.root.glob("backups-*"))


POLICIES = {"people.email": "tokenize", "people.phone": "tokenize"}


def make_people(path: Path) -> Path:
    """A database of two tables with personal data."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL, phone TEXT, note TEXT)")
    rows = list(zip(EMAILS, PHONES, WORDS, strict=True))
    connection.executemany("INSERT INTO people (email, phone, note) VALUES (?, ?, ?)", rows)
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people, cents INTEGER)")
    connection.executemany("INSERT INTO orders (person, cents) VALUES (?, ?)", [(n % 3 + 1, n * 7) for n in range(100)])
    connection.execute("CREATE INDEX by_person ON orders (person)")
    connection.close()
    return path


def dump(path: Path) -> str:
    """A database as statements; empty for one that is not there."""
    if not path.is_file():
        return ""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return "\n".join(connection.iterdump())
    except sqlite3.DatabaseError:
        return path.read_bytes().hex()
    finally:
        connection.close()


def holds_any(folder: Path, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Which files below a folder hold which of the values in the clear."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found += [(os.path.relpath(path, folder), value) for value in values if value.encode() in data]
    return found
