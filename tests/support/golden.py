"""Golden archives (tests/vectors/archives/README.md), copied to where they may be worked on."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from tests.support.world import Ran, run

from rlg_backup.cli.keys_commands import make
from rlg_backup.config.load import load
from rlg_backup.engine.archives import STATE, Archive, index_of, open_remote
from rlg_backup.engine.restore_points import choose
from rlg_backup.engine.wiring import Wiring
from rlg_backup.format.age import SeekableAgeReader, parse_identity
from rlg_backup.format.change_state import SUBJECT, ChangeState
from rlg_backup.format.container import ZipReader
from rlg_backup.format.tree_index import IndexRow

ROOT = Path(__file__).parents[2]
ARCHIVES = ROOT / "tests" / "vectors" / "archives"
NAMES = sorted(path.name for path in ARCHIVES.iterdir() if path.is_dir())
LARGEST = 1_000_000  # bytes of all golden archives together
SOURCES = {
    "sqlite": {"type": "sqlite", "path": "gone"},
    "files": {"type": "files", "path": "gone"},
    "postgres": {"type": "postgres", "connection": "gone"},
}


@dataclass(frozen=True)
class Golden:
    """A golden archive copied to where it may be worked on, with a configuration that trusts its signer."""

    name: str
    root: Path

    @cached_property
    def expected(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.root / "expected.json").read_text("utf-8"))
        return loaded

    @property
    def backups(self) -> list[dict[str, Any]]:
        """What is expected of each backup, in the order of the chain."""
        found: list[dict[str, Any]] = self.expected["backups"]
        return found

    @property
    def targets(self) -> list[str]:
        return sorted(path.name for path in (self.root / "targets").iterdir())

    @property
    def givers(self) -> list[tuple[str, ...]]:
        """The options that name where a whole backup is read: each target; none where each has but some zones."""
        if "residency" in self.expected.get("settings", {}):
            return [()]
        return [("--target", target) for target in self.targets]

    @property
    def config(self) -> Path:
        return self.root / "backup.yaml"

    def run(self, *arguments: str | Path) -> Ran:
        return run("--config", self.config, *arguments)

    def archive(self, number: int = -1) -> Archive:
        wiring = Wiring(load(self.config), base=self.root)
        chosen = choose(wiring, "app", self.backups[number]["backup_id"])
        return open_remote(wiring, chosen, wiring.identities(()), everywhere=True)

    def index(self) -> list[IndexRow]:
        archive = self.archive()
        return list(index_of(archive)) if archive.profile().tree else []

    def manifest(self, number: int = -1) -> dict[str, Any]:
        return self.manifest_of(self.backups[number]["backup_id"])

    def manifest_of(self, backup_id: str) -> dict[str, Any]:
        (file, *_) = self.root.glob(f"targets/*/app/{backup_id}/manifest.json")
        signed: dict[str, Any] = json.loads(file.read_text())["signed"]
        return signed

    def state(self, number: int = -1) -> tuple[ChangeState, ZipReader]:
        """The change state that a backup left, and its members."""
        backup_id = self.backups[number]["backup_id"]
        (file, *_) = self.root.glob(f"targets/*/app/{backup_id}/{STATE}")
        data, identity = file.read_bytes(), parse_identity((self.root / "keys" / "state.key").read_text().split()[-1])
        reader = SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), [identity])
        members = ZipReader.locate(reader.read_at, reader.size)
        return ChangeState.load(members.read(SUBJECT, limit=LARGEST), source="app", backup_id=backup_id), members

    def zones(self) -> list[str]:
        """The zones of the archives of the newest backup, each with its profile."""
        assert ("zone.json" in self.archive().names) == (len(self.manifest()["archives"]) > 1)
        return [archive["zone"] for archive in self.manifest()["archives"]]

    def forms(self) -> set[str]:
        """The forms of the columns of every part."""
        archive = self.archive()
        return {
            (field.metadata or {})[b"rlg.form"].decode()
            for table in archive.profile().tables
            for name in table.members
            for field in pq.read_schema(BytesIO(archive.read(name, limit=LARGEST)))
        }


def prepare(name: str, root: Path) -> Golden:
    shutil.copytree(ARCHIVES / name, root)
    for key in (root / "keys").iterdir():
        key.chmod(0o600)
    (root / "keys" / "staging.key").write_text(make("staging")[0])
    (root / "keys" / "staging.key").chmod(0o600)
    golden = Golden(name, root)
    settings = {
        "version": 1,
        "staging": {"folder": "staging", "key": "file:keys/staging.key"},
        "state": "state",
        "encryption": {"identities": ["file:keys/identity.key"]},
        "signing": {"trusted": [(root / "keys" / "signer.pub").read_text().strip()]},
        "tokenization": {"key": "file:keys/tokenization.key"},
        "targets": {target: {"type": "local", "path": f"targets/{target}"} for target in golden.targets},
        "sources": {"app": {**SOURCES[golden.expected["type"]], "targets": golden.targets}},
    }
    merge(settings, golden.expected.get("settings", {}))
    golden.config.write_text(yaml.safe_dump(settings), "utf-8")
    return golden


def merge(settings: dict[str, Any], more: dict[str, Any]) -> None:
    """Puts settings into others, section by section."""
    for name, value in more.items():
        if isinstance(value, dict) and name in settings:
            merge(settings[name], value)
        else:
            settings[name] = value


@pytest.fixture(params=NAMES, name="golden")
def every_golden_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    return prepare(request.param, tmp_path / "golden")
