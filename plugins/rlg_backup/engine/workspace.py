"""The staging folder of one try of one run: private, encrypted under a key of the run, wiped at the end.

Each step leaves a record here and hands its digest on in a small reference; the next step refuses to
go on without exactly that record. A step that was left out, another try's folder, another worker's disk and
another version of the engine are therefore noticed before anything is built on them.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from .. import __version__
from ..core.errors import EngineMismatch, ObjectDamaged, StagingLost, StepSkipped
from ..core.private import create_private
from ..format.keys import StagingKey
from .leftovers import remove_empty, remove_tries, remove_try
from .staged_files import NONCE, StagedFiles, make_private, staging_disk

_LONGEST_NAME = 200  # bytes of a folder


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


class Workspace(StagedFiles):
    """``<staging>/<run>/<source>/<attempt>``; see the module."""

    def __init__(self, folder: Path, key: StagingKey, reference: Reference) -> None:
        super().__init__(folder, key)
        self.reference = reference

    @classmethod
    def create(cls, root: Path, key: StagingKey, reference: Reference) -> Workspace:
        """Make the folder (0700). What earlier tries of the run left is wiped first: it may fill the disk."""
        folder = cls._folder(root, reference)
        remove_tries(folder.parent)
        make_private(folder, root)
        nonce = secrets.token_bytes(32)
        with staging_disk(NONCE), create_private(folder / NONCE) as file:
            file.write(nonce)
        return cls(folder, key, replace(reference, nonce_sha256=hashlib.sha256(nonce).hexdigest()))

    @classmethod
    def resume(cls, root: Path, key: StagingKey, reference: Reference) -> Workspace:
        """Open the folder an earlier step made; raises StagingLost when it is not that one."""
        folder = cls._folder(root, reference)
        try:
            nonce = (folder / NONCE).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            nonce = b""
        except OSError as error:  # its disk, or this process: the folder may well be there
            raise StagingLost("read", NONCE, (error.strerror or "the staging disk failed").lower()) from None
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
        folder, cause = cls._folder(root, reference), "files are left in it"
        remove_try(folder)
        remove_empty(folder.parent, folder.parent.parent)
        try:
            gone = not folder.exists()
        except OSError as error:
            gone, cause = False, (error.strerror or "the staging disk failed").lower()
        if not gone:
            raise StagingLost("wipe", str(folder), cause, "remove the folder by hand")
