"""Restore points without a source behind them: real records, manifests and leases over a few bytes, on targets in
memory, and a clock that is set. Cheap enough for thousands of histories of retention."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.damage.tiny import WiringTo
from tests.support.memory_storage import MemoryStorage
from tests.support.world import World
from tests.unit.format.documents import MANIFEST

from rlg_backup.catalog import commit_backup
from rlg_backup.core.model import Kind, new_backup_id
from rlg_backup.engine.lease import held
from rlg_backup.format.manifest import Manifest, Parent
from rlg_backup.storage.port import Storage

START = datetime(2031, 1, 5, 2, tzinfo=UTC)  # later than the time of any target in memory, whose clock is real
DAY = timedelta(days=1)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Shelves:
    """A project of one source, ``app``; ``storages`` are its targets, as the engine is to see them."""

    world: World
    memory: dict[str, MemoryStorage]
    clock: Clock = field(default_factory=Clock)
    storages: dict[str, Storage] = field(default_factory=dict)
    parents: dict[str, Parent | None] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, root: Path, *targets: str, rules: Mapping[str, Any] | None = None) -> Shelves:
        world = World.make(root, targets=targets or ("local",))
        world.settings["retention"] = dict(rules or {})
        world.save()
        memory = {name: MemoryStorage(name) for name in targets or ("local",)}
        return cls(world, memory, storages=dict(memory))

    def wiring(self, storages: Mapping[str, Storage] | None = None) -> WiringTo:
        return WiringTo(self.world, storages or self.storages, clock=self.clock)

    def pass_time(self, days: float) -> None:
        self.clock.now += timedelta(days=days)

    def upload(self, kind: Kind = Kind.FULL, parent: str | None = None, *, at: datetime | None = None) -> str:
        """What a run puts on each target before it commits; returns the new id. ``at``: by the worker's clock."""
        taken_at = at or self.clock.now
        backup_id = new_backup_id(taken_at)
        self.parents[backup_id] = Parent(backup_id=parent, manifest_sha256=self.manifests[parent]) if parent else None
        data = backup_id.encode() * 3
        manifest = _manifest(backup_id, kind, self.parents[backup_id], taken_at, data)
        signed = manifest.sign(self.wiring().signing_key)
        self.manifests[backup_id] = hashlib.sha256(signed).hexdigest()
        for memory in self.memory.values():
            memory.plant(f"app/{backup_id}/default.zip.age", data)
            memory.plant(f"app/{backup_id}/state.zip.age", b"state")
            memory.plant(f"app/{backup_id}/manifest.json", signed)
        return backup_id

    def back_up(self, kind: Kind = Kind.FULL, parent: str | None = None, *, at: datetime | None = None) -> str:
        """A committed backup on every target."""
        backup_id = self.upload(kind, parent, at=at)
        self.commit(backup_id, kind)
        return backup_id

    def commit(self, backup_id: str, kind: Kind) -> None:
        """On every target."""
        wiring = self.wiring(self.memory)
        for name in self.memory:
            with held(wiring, "app", name) as lease:
                commit_backup(
                    lease,
                    wiring.catalog(name, "app"),
                    key=wiring.signing_key,
                    backup_id=backup_id,
                    kind=kind,
                    parent=self.parents[backup_id],
                    manifest_sha256=self.manifests[backup_id],
                    others=[wiring.catalog(other, "app") for other in self.memory if other != name],
                )

    def listed(self, target: str = "local") -> list[str]:
        return [point.backup_id for point in self.wiring(self.memory).catalog(target, "app").points()]

    def objects(self, target: str = "local") -> dict[str, bytes]:
        """Everything below the source's name."""
        memory = self.memory[target]
        return {key: memory.bytes_of(key) for key in memory.keys("app/")}

    def save(self) -> Callable[[], None]:
        """How everything is now; the result brings it back."""
        seen = self.world.root / "state" / "seen.json"
        kept = {name: dict(memory.shelf.objects) for name, memory in self.memory.items()}
        heads, now = seen.read_bytes(), self.clock.now

        def bring_back() -> None:
            for name, memory in self.memory.items():
                memory.shelf.objects = dict(kept[name])
            seen.write_bytes(heads)
            self.clock.now = now

        return bring_back

    def assert_whole(self, target: str = "local") -> list[str]:
        """Everything listed is there with its whole chain, byte for byte, and what is not listed is being removed by a
        record that says so; returns what is listed."""
        catalog = self.wiring(self.memory).catalog(target, "app")
        catalog.verify_chain(down_to=1)
        listed, objects = [point.backup_id for point in catalog.points()], self.objects(target)
        for backup_id in listed:
            chain = self.chain(backup_id)
            assert set(chain) <= set(listed), backup_id
            assert objects[f"app/{backup_id}/default.zip.age"] == backup_id.encode() * 3
            manifest = hashlib.sha256(objects[f"app/{backup_id}/manifest.json"]).hexdigest()
            assert manifest == self.manifests[backup_id]
        return listed

    def chain(self, backup_id: str) -> list[str]:
        """A backup and all that it is restored from."""
        found = [backup_id]
        while (parent := self.parents[found[-1]]) is not None:
            found.append(parent.backup_id)
        return found


def _manifest(backup_id: str, kind: Kind, parent: Parent | None, taken_at: datetime, data: bytes) -> Manifest:
    value = copy.deepcopy(MANIFEST)
    value |= {"source": "app", "backup_id": backup_id, "kind": kind.value, "parent": parent and parent.to_dict()}
    value["snapshot"]["taken_at"] = value["created_at"] = f"{taken_at:%Y-%m-%dT%H:%M:%SZ}"
    archive = {**value["archives"][0], "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    archive |= {"header_size": 1, "directory": {"offset": 1, "length": 1, "sha256": "a" * 64}}
    return Manifest.from_dict({**value, "archives": [archive]}, backup_id)
