"""The change state of the parent, as the run before left it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from ..core.errors import BackupError, DocumentDamaged, ObjectDamaged, StagingLost, StorageFull
from ..core.private import create_private
from ..format.age import SeekableAgeReader
from ..format.change_state import LIMIT, SUBJECT, ChangeState, StatePart, StateTable
from ..format.container import ZipReader
from ..format.row_hash import Lanes
from ..format.row_numbers import Addresses, read_numbers, together
from ..format.tree_state import read_files
from .archives import PIECE, STATE
from .known_files import KnownFiles
from .staged_files import staging_disk
from .wiring import Wiring
from .workspace import Workspace

if TYPE_CHECKING:
    from ..sources.port import Table

_FILE: Final = "parent-state"
_KEPT: Final = 4  # parts in memory, of 7 MB each
_PART_LIMIT: Final = 16 << 20  # bytes of a member with rows


class ParentState:
    """The change state of the parent. For several threads."""

    def __init__(self, file: BinaryIO, members: ZipReader, state: ChangeState) -> None:
        self.state = state
        self._file, self._members, self._one = file, members, Lock()
        self._recent: dict[str, tuple[Lanes, Addresses | None]] = {}
        self._tables = {(table.schema_name, table.name): table for table in state.tables}
        self.files = self._files()

    def close(self) -> None:
        """Nothing can be read any more; idempotent."""
        self._file.close()

    def table(self, table: Table, identity: str) -> StateTable | None:
        """What it knows of a table that is what it was."""
        found = self._tables.get((table.schema, table.name))
        return found if found is not None and found.identity == identity else None

    def detected(self, table: Table) -> Mapping[str, str]:
        """The columns that the run before tokenized without a policy, each with the kind of data found there."""
        found = self._tables.get((table.schema, table.name))
        return found.detected if found is not None else {}

    def rows(self, table: StateTable, first: int, last: int | None) -> tuple[Lanes, Addresses]:
        """Its rows whose place is from ``first`` to before ``last`` (None: to the end), in order of place."""
        parts = [p for p in table.parts if p.rows and p.last >= first and (last is None or p.first < last)]
        found = [self._part(part, addressed=True) for part in parts]
        addresses = Addresses.together([held for _, held in found if held is not None])
        numbers = together([numbers for numbers, _ in found])
        inside = addresses.place >= np.uint64(first)
        if last is not None:
            inside &= addresses.place < np.uint64(last)
        chosen = np.flatnonzero(inside)
        chosen = chosen[np.argsort(addresses.place[chosen], kind="stable")]
        return (numbers[0][chosen], numbers[1][chosen]), addresses.of(chosen)

    def numbers(self, table: StateTable) -> Lanes:
        """The numbers of all its rows."""
        return together([self._part(part, addressed=table.storage is not None)[0] for part in table.parts])

    def _files(self) -> KnownFiles | None:
        """What it knows of the files of a tree; None where there were none."""
        tree = self.state.tree
        if tree is None or not tree.files:
            return None
        parts = (read_files(BytesIO(self._members.read(name, limit=_PART_LIMIT)), name) for name in tree.parts)
        return KnownFiles(parts, tree.files, tree.backups)

    def _part(self, part: StatePart, *, addressed: bool) -> tuple[Lanes, Addresses | None]:
        """A part; the last few are kept: what follows in a table is asked for piece by piece."""
        with self._one:
            if (kept := self._recent.pop(part.member, None)) is not None:
                self._recent[part.member] = kept
                return kept
            data = BytesIO(self._members.read(part.member, limit=_PART_LIMIT))
        found = read_numbers(data, part.member, addressed=addressed)
        with self._one:
            self._recent[part.member] = found
            if len(self._recent) > _KEPT:
                del self._recent[next(iter(self._recent))]
        return found


def open_parent(wiring: Wiring, workspace: Workspace, parent: Mapping[str, Any]) -> ParentState:
    """Downloads the state of the parent, from the first target with a sound copy, and opens it. Raises what says that
    it is of no use: ObjectMissing, ObjectDamaged, StorageUnavailable, WrongIdentity, DocumentDamaged and their like."""
    source, backup_id = workspace.reference.source, parent["backup_id"]
    key = f"{source}/{backup_id}/{STATE}"
    _fetch_any(wiring, workspace, key, parent)
    opened = workspace.path(_FILE).open("rb")
    try:
        reader = SeekableAgeReader(
            lambda offset, length: os.pread(opened.fileno(), length, offset),
            parent["state"]["size"],
            wiring.state_identities,
            name=key,
        )
        members = ZipReader.locate(reader.read_at, reader.size)
        state = ChangeState.load(members.read(SUBJECT, limit=LIMIT), source=source, backup_id=backup_id)
        if lacking := sorted({*state.members} - set(members.members)):
            raise DocumentDamaged("read", SUBJECT, f"it names the member '{lacking[0]}', which is not there")
        return ParentState(opened, members, state)
    except BaseException:
        opened.close()
        raise


def _fetch_any(wiring: Wiring, workspace: Workspace, key: str, parent: Mapping[str, Any]) -> None:
    """The state from one of the targets that hold it; the first one's error where none is of use."""
    failures: list[BackupError] = []
    for target in parent["targets"]:
        try:
            return _fetch(wiring, workspace, key, target, parent["state"])
        except (StorageFull, StagingLost):  # of our own disk: no copy would do better
            raise
        except BackupError as error:
            failures.append(error)
    raise failures[0]


def _fetch(wiring: Wiring, workspace: Workspace, key: str, target: str, expected: Mapping[str, Any]) -> None:
    workspace.remove_file(_FILE)
    digest, size = hashlib.sha256(), 0
    with (
        staging_disk(_FILE),
        wiring.storage(target).open(key) as stream,
        create_private(workspace.path(_FILE)) as file,
    ):
        while piece := stream.read(PIECE):
            size += len(piece)
            if size > expected["size"]:
                break
            digest.update(piece)
            file.write(piece)
    if (size, digest.hexdigest()) != (expected["size"], expected["sha256"]):
        raise ObjectDamaged("fetch", key, f"target '{target}' holds other bytes than the manifest names")
