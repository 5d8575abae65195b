"""The smallest sensible backups, on targets in memory, and all that can be read of one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.damage.trials import BROKEN
from tests.support.memory_storage import MemoryStorage
from tests.support.world import World

from rlg_backup.config.load import load
from rlg_backup.core.model import Kind
from rlg_backup.engine.archives import ARCHIVE, Archive, fetch_all, index_of, open_local, open_remote, rows_of
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore_points import Chosen, choose
from rlg_backup.engine.wiring import Wiring
from rlg_backup.format.age import Identity
from rlg_backup.storage.port import Storage

POLICIES = {"forms.email": "tokenize"}


class WiringTo(Wiring):
    """Wiring whose targets are the storages given."""

    def __init__(self, world: World, storages: Mapping[str, Storage], **given: Any) -> None:
        super().__init__(load(world.config), base=world.root, **given)
        self.given = dict(storages)

    def elsewhere(self, folder: Path) -> WiringTo:
        """As on another host: the staging folder and what was seen are its own."""
        staging = self.settings.staging.model_copy(update={"folder": folder / "staging"})
        self.settings = self.settings.model_copy(update={"staging": staging, "state": folder / "state"})
        return self

    def storage(self, target: str) -> Storage:
        return self.given[target]


@dataclass
class Tiny:
    """A project whose targets are in memory; ``storage`` is the first."""

    world: World
    storage: MemoryStorage
    wiring: WiringTo

    @classmethod
    def make(cls, root: Path, *targets: str) -> Tiny:
        """Two sources: ``app``, a table with a column of every form, and ``tree``, files of every kind."""
        targets = targets or ("local",)
        world = World.make(root, targets=targets)
        make_forms(root / "app.db")
        make_tree(root / "tree")
        world.source["policies"] = POLICIES
        world.settings["sources"]["tree"] = {"type": "files", "path": "tree", "targets": list(targets)}
        world.save()
        storages = {name: MemoryStorage(name) for name in targets}
        return cls(world, storages[targets[0]], WiringTo(world, storages))

    def back_up(self, source: str = "app") -> Chosen:
        done = backup(self.wiring, source, Kind.FULL)
        assert done.complete
        return choose(self.wiring, source, done.backup_id)

    @cached_property
    def identities(self) -> list[Identity]:
        """Read once: to try every byte of an archive is to ask for them 20,000 times."""
        return self.wiring.identities()

    def archive(self, chosen: Chosen) -> bytes:
        return self.storage.bytes_of(archive_key(chosen))


@contextmanager
def undone(tiny: Tiny) -> Iterator[None]:
    """Puts back what the block did to the targets, and to the memory of what was seen on them."""
    state = tiny.world.root / "state" / "seen.json"
    shelves = [storage.shelf.objects for storage in tiny.wiring.given.values() if isinstance(storage, MemoryStorage)]
    before, seen = [dict(objects) for objects in shelves], state.read_bytes()
    yield
    for objects, sound in zip(shelves, before, strict=True):
        objects.clear()
        objects.update(sound)
    state.write_bytes(seen)


def archive_key(chosen: Chosen) -> str:
    return f"{chosen.folder}/{ARCHIVE}"


def make_forms(path: Path) -> None:
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE forms (id INTEGER PRIMARY KEY, real REAL, words TEXT, raw BLOB, email TEXT, mixed, nil)"
    )
    rows = [
        (1, 0.5, "one\0two", b"\xff\x00", "miriam.peretz@example.org", 1, None),
        (2, -0.0, "שלום", b"", "thabo.nkosi@example.org", "text", None),
        (3, 1e300, "", bytes(range(9)), "nobody.else@example.org", 2.5, None),
    ]
    connection.executemany("INSERT INTO forms VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()


def make_tree(root: Path) -> None:
    root.mkdir()
    (root / "folder").mkdir()
    (root / "folder" / "stored.bin").write_bytes(bytes(range(256)))
    (root / "deflated.txt").write_text("to whom it may concern " * 20)
    (root / "empty").touch()
    (root / "link").symlink_to("deflated.txt")
    (root / "twin").hardlink_to(root / "deflated.txt")


Item = tuple[str, object]


def everything(archive: Archive) -> Iterator[Item]:
    """The profile, every member whole, every row or entry: in that order, each only once it may be used."""
    profile = archive.profile()
    yield "profile", profile
    for name in archive.names:
        with archive.open(name) as stream:
            data = stream.read()
        yield name, data
    for table in profile.tables:
        for batch in rows_of(archive, table, table.members):
            yield table.name, batch.to_pylist()
    if profile.tree is not None:
        for row in index_of(archive):
            yield "entry", row


def whole(tiny: Tiny, chosen: Chosen, place: Path) -> Iterator[Item]:
    """As a restore reads: downloaded whole, then opened."""
    try:
        fetch_all(tiny.wiring, chosen, place, any_target=False)
        with open_local(place, chosen, tiny.identities) as archive:
            yield from everything(archive)
    finally:
        shutil.rmtree(place)


def ranged(tiny: Tiny, chosen: Chosen, place: Path) -> Iterator[Item]:
    """By ranged reads from the target."""
    yield from everything(open_remote(tiny.wiring, chosen, tiny.identities))


READS = {"streaming": whole, "seekable": ranged}


def uses_the_truth_alone(items: Iterator[Item], truth: Sequence[Item]) -> None:
    """Reads to the end or the first error: what was handed out until then is the beginning of the truth, or all."""
    given = 0
    for item in items:
        assert given < len(truth) and item == truth[given], f"{BROKEN}: '{item[0]}' was handed out"
        given += 1
    assert given == len(truth) or not truth, f"{BROKEN}: it ended early"
