"""What dead runs left in the staging folder. No teardown reaches a dead worker's disk: the next run removes it.

A try is dead when another run holds its leases, or when nothing touched its folder for a day: a living run's heartbeat
does. Only what a run or a restore made is looked at, for the folder may be shared with others.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core.errors import BackupError
from ..format.keys import StagingKey
from .staged_files import NONCE, StagedFiles

log = logging.getLogger(__name__)

FIRST_RECORD = "stage.record"
_RESTORE = re.compile(r"restore-[0-9a-f]{12}")  # a folder that engine.restore makes
Leases = Mapping[str, Mapping[str, Any]]


def remove_superseded(root: Path, key: StagingKey, source: str, leases: Leases) -> list[str]:
    """Remove the tries of ``source`` all of whose leases were taken by the run that holds ``leases``; their names.

    Such a try can commit nothing any more, whether it is dead or wakes up. One that holds a lease on another target, is
    of another user or was made with another staging key (a project of its own in a shared folder) is left alone.
    ``leases`` maps a target to the lease's state and the target's ``place``.
    """
    removed = []
    for folder in _tries(root, source):
        try:
            held = _leases_of(folder, key)
        except (BackupError, OSError, ValueError, KeyError):  # another key's, half made, or wiped at this moment
            continue
        if all(target in leases and _superseded(held[target], leases[target]) for target in held):
            remove_try(folder)
            remove_empty(folder.parent, folder.parent.parent)
            removed.append("/".join(folder.parts[-3:]))
    if removed:
        log.info("removed what superseded runs left in the staging folder: %s", ", ".join(removed))
    return removed


def _superseded(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    return theirs.get("place") == mine["place"] and int(theirs["token"]) < int(mine["token"])


def remove_try(folder: Path) -> None:
    """Remove what can be removed of a try: last what tells whose it is, so that a removal that is killed can be ended
    by the next run. Raises nothing."""
    for item in sorted(_inside(folder), key=lambda item: (item.name == NONCE, item.name == FIRST_RECORD)):
        with suppress(OSError):
            item.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def remove_tries(source: Path) -> None:
    """``remove_try`` of each try of one source in one run."""
    for folder in _inside(source):
        remove_try(folder)


def remove_empty(*folders: Path) -> None:
    """Remove the folders that hold nothing, in this order; other sources of a run may do the same, or begin there."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _tries(root: Path, source: str) -> Iterator[Path]:
    for run in _inside(root):
        for folder in _inside(run):
            if folder.name == source:
                yield from filter(_is_private, _inside(folder))


def _is_private(folder: Path) -> bool:
    """Whether nobody else can have put anything into a folder."""
    state = folder.lstat()
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o077


def _inside(folder: Path) -> list[Path]:
    """What a folder holds beside links; nothing where it is not one, or another user's."""
    try:
        return [item for item in sorted(folder.iterdir()) if not item.is_symlink()]
    except OSError:
        return []


def _leases_of(folder: Path, key: StagingKey) -> Leases:
    """The leases that a try was begun with, as its first record tells; it is authenticated by the staging key."""
    with StagedFiles(folder, key).open_file(FIRST_RECORD) as file:
        found: Leases = json.loads(file.read())["leases"]
    return found


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
    """Remove what dead runs left; returns their names.

    A folder is dead when nothing in it was written for that long (longer than any lease lives; a living run's
    heartbeat counts as writing).
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
    begun = [item.name.isdigit() and not any(item.iterdir()) for item in tries]  # or ended, all but the folder
    return bool(tries) and all((item / NONCE).is_file() or empty for item, empty in zip(tries, begun, strict=True))
