"""The staging folder of one try of one run: private, encrypted under a key of the run, wiped at the end.

Each step leaves a record here and hands its digest on in a small reference; the next step refuses to
go on without exactly that record. A step that was left out, another try's folder, another worker's disk and
another version of the engine are therefore noticed before anything is built on them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote

from .. import __version__
from ..core.errors import EngineMismatch, InvalidSetting, ObjectDamaged, StagingLost, StepSkipped, StorageFull
from ..core.private import create_private
from ..format.age import PayloadReader, PayloadWriter
from ..format.keys import StagingKey

log = logging.getLogger(__name__)

_LONGEST_NAME = 200  # bytes of a folder
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_RESTORE = re.compile(r"restore-[0-9a-f]{12}")  # a folder that engine.restore makes


@dataclass(frozen=True)
class Reference:
    """What one step hands to the next: plain JSON, no secrets, small enough for XCom.

    ``records`` maps a step that is done to the SHA-256 of its record; ``leases`` a target to the state of the
    lease held there; ``down`` a target that could not be reached to the reason.
    """

    run: str
    source: str
    attempt: int
    nonce_sha256: str
    backup_id: str
    kind: str
    engine: str = __version__
    records: Mapping[str, str] = field(default_factory=dict)
    leases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    down: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reference:
        """Raises EngineMismatch when another version of the engine made the reference."""
        if value.get("engine") != __version__:
            raise EngineMismatch(
                "go on with",
                str(value.get("run", "?")),
                f"the step before ran with version {value.get('engine', '?')} of the engine, this is {__version__}",
                "clear the run from its first step, so that one version does all of it",
            )
        return cls(**value)

    @classmethod
    def merge(cls, references: Sequence[Reference]) -> Reference:
        """The references of parallel steps of one try as one; raises StepSkipped when there is none."""
        if not references:
            raise StepSkipped("go on with", "the run", "none of the steps before ended well")
        records = {step: digest for reference in references for step, digest in reference.records.items()}
        return replace(references[0], records=records)


class Workspace:
    """``<staging>/<run>/<source>/<attempt>``; see the module."""

    def __init__(self, folder: Path, key: StagingKey, reference: Reference) -> None:
        self.folder = folder
        self.reference = reference
        self._key = key

    @classmethod
    def create(cls, root: Path, key: StagingKey, reference: Reference) -> Workspace:
        """Make the folder (0700). What earlier tries of the run left is wiped first: it may fill the disk."""
        folder = cls._folder(root, reference)
        shutil.rmtree(folder.parent, ignore_errors=True)
        make_private(folder, root)
        nonce = secrets.token_bytes(32)
        with staging_disk("nonce"), create_private(folder / "nonce") as file:
            file.write(nonce)
        return cls(folder, key, replace(reference, nonce_sha256=hashlib.sha256(nonce).hexdigest()))

    @classmethod
    def resume(cls, root: Path, key: StagingKey, reference: Reference) -> Workspace:
        """Open the folder an earlier step made; raises StagingLost when it is not that one."""
        folder = cls._folder(root, reference)
        try:
            nonce = (folder / "nonce").read_bytes()
        except OSError:
            nonce = b""
        if hashlib.sha256(nonce).hexdigest() != reference.nonce_sha256:
            raise StagingLost(
                "go on with",
                f"{reference.run}/{reference.source}",
                "its staging folder was wiped, belongs to another try, or is on another worker",
                "clear the run from 'stage'; where workers share no disk set staging.mode: local",
            )
        return cls(folder, key, reference)

    @classmethod
    def keep(cls, root: Path, reference: Reference) -> None:
        """Say that the run lives, for ``sweep``: an upload may write nothing here for days."""
        with suppress(OSError):  # wiped meanwhile: the step notices, and says it better
            os.utime(cls._folder(root, reference))

    @staticmethod
    def _folder(root: Path, reference: Reference) -> Path:
        """A run may be called anything (Airflow's users name theirs), its folder may not."""
        run = quote(reference.run, safe=" +:,=@").replace(".", "%2E")
        if len(run) > _LONGEST_NAME:
            run = f"{run[:_LONGEST_NAME]}-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
        return root / run / reference.source / str(reference.attempt)

    def path(self, name: str) -> Path:
        """Where a file of that name lies; not every file is encrypted by us (an archive is, by age)."""
        return self.folder / name

    @contextmanager
    def create_file(self, name: str) -> Iterator[BinaryIO]:
        """A new file, encrypted as it is written; complete only when the block ends without an error."""
        with staging_disk(name), create_private(self.path(name)) as raw:
            writer = PayloadWriter(raw, self._file_key(name))
            yield cast(BinaryIO, writer)
            writer.close()

    @contextmanager
    def open_file(self, name: str) -> Iterator[BinaryIO]:
        """A file read back; what is returned is authenticated."""
        try:
            raw = self.path(name).open("rb")
        except OSError as error:
            raise StagingLost("read", name, error.strerror or "it is not in the staging folder") from None
        with raw:
            yield cast(BinaryIO, PayloadReader(raw, self._file_key(name)))

    def remove_file(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    def put_record(self, step: str, value: Mapping[str, Any]) -> Reference:
        """Write a step's record; returns the reference that the next step needs."""
        data = json.dumps(value, sort_keys=True).encode()
        name = f"{step}.record"
        self.remove_file(name)
        with self.create_file(name) as file:
            file.write(data)
        records = {**self.reference.records, step: hashlib.sha256(data).hexdigest()}
        self.reference = replace(self.reference, records=records)
        return self.reference

    def record(self, step: str) -> dict[str, Any]:
        """A step's record; raises StepSkipped when the step did not run, ObjectDamaged when it is another."""
        expected = self.reference.records.get(step)
        if expected is None:
            raise StepSkipped(
                "go on with",
                f"{self.reference.run}/{self.reference.source}",
                f"the step '{step}' did not run",
                "clear the run from 'stage'",
            )
        with self.open_file(f"{step}.record") as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != expected:
            raise ObjectDamaged("go on after", step, "its record is not the one it handed on")
        return cast(dict[str, Any], json.loads(data))

    @classmethod
    def wipe(cls, root: Path, reference: Reference) -> None:
        """Remove a try's folder and what is empty above it; gone already is fine, and no key is needed."""
        folder = cls._folder(root, reference)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise StagingLost("wipe", str(folder), "files are left in it", "remove the folder by hand")
        for parent in (folder.parent, folder.parent.parent):
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()

    def derived_key(self, purpose: str) -> bytes:
        """32 secret bytes of this try, the same in every step of it; ``purpose`` is the name of no file."""
        return self._file_key(f"key/{purpose}")

    def _file_key(self, name: str) -> bytes:
        nonce = (self.folder / "nonce").read_bytes()
        mine = self.reference
        return self._key.file_key(nonce, mine.run, mine.source, str(mine.attempt), name)


def make_private(folder: Path, root: Path) -> None:
    """Make a folder below the staging folder and what is missing above it, all 0700 whatever the umask.

    A staging folder that exists keeps its mode: it may be shared with others. Raises InvalidSetting.
    """
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for place in (root, *reversed(folder.relative_to(root).parents[:-1]), folder.relative_to(root)):
            with suppress(FileExistsError):
                (root / place).mkdir(0o700)
                (root / place).chmod(0o700)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is not a folder")
    except OSError as error:
        cause = f"no folder can be made in it ({(error.strerror or 'the system refuses').lower()})"
        raise InvalidSetting("use", "staging.folder", cause, "name a folder this user may write to") from None


@contextmanager
def staging_disk(name: str) -> Iterator[None]:
    """Turns what the staging disk refuses into our errors: StorageFull without space, StagingLost otherwise."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull("write", name, "no space is left in the staging folder") from None
        raise StagingLost("write", name, error.strerror or "the staging disk failed") from None


def sweep_leftovers(root: Path, lease_minutes: float) -> None:
    """``sweep`` as every run and every restore begins with it; that it cannot look is logged, nothing depends on it."""
    try:
        removed = sweep(root, older_than_hours=max(24, lease_minutes / 30))
    except OSError as error:
        log.warning("what dead runs left in the staging folder stays there for now: %s", error.strerror)
        return
    if removed:
        log.info("removed what dead runs left in the staging folder: %d folders", len(removed))


def sweep(root: Path, *, older_than_hours: float) -> list[str]:
    """Remove what dead runs left; returns their names. No teardown reaches a dead worker's disk.

    A folder is dead when nothing in it was written for that long (longer than any lease lives; a living run's
    heartbeat counts as writing). Only what a run or a restore made is looked at: the folder may be shared with others.
    """
    removed = []
    limit = time.time() - older_than_hours * 3600
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        try:
            if _is_ours(folder) and max(path.lstat().st_mtime for path in (folder, *folder.rglob("*"))) < limit:
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
        except OSError:  # its own run wipes it at this moment, or another user's
            continue
    return removed


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds tries, each with its nonce, and nothing else; or is a restore's."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    if _RESTORE.fullmatch(folder.name):
        return True
    tries = [item for source in folder.iterdir() for item in source.iterdir()]
    return bool(tries) and all((item / "nonce").is_file() for item in tries)
