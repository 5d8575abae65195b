"""Where a restored copy is built and how it takes its name: beside it, and never over anything."""

from __future__ import annotations

import errno
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..core.errors import BackupError, DestinationUnsuitable, StorageFull

log = logging.getLogger(__name__)

_NO_SPACE: Final = {
    errno.ENOSPC: "no space is left on its disk",
    errno.EDQUOT: "this user's share of its disk is used up",
    errno.EFBIG: "its disk takes no file that large",
}


def refused(verb: str, subject: str, error: OSError) -> BackupError:
    """What the system refuses of a place that is restored to: StorageFull without space, else DestinationUnsuitable."""
    if error.errno in _NO_SPACE:
        return StorageFull(verb, subject, _NO_SPACE[error.errno])
    return DestinationUnsuitable(verb, subject, (error.strerror or "the system refuses").lower())


def partial_name(path: Path) -> Path:
    """A name nobody uses, in the same folder, so that a rename is enough.

    Raises DestinationUnsuitable where there is no such folder.
    """
    if not path.parent.is_dir():
        raise DestinationUnsuitable("restore to", str(path), f"there is no folder '{path.parent}'")
    return path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.partial")


def refuse_existing(path: Path) -> None:
    """Raises DestinationUnsuitable if ``path`` names anything, a dangling link included."""
    if os.path.lexists(path):
        hint = "name a file that does not exist, or move that one away first"
        raise DestinationUnsuitable("restore to", str(path), "it exists already", hint)


def close_after(close: Callable[[], None], error: BaseException | None) -> None:
    """Ends a destination. After an error, that is the one to tell: what cannot be removed either is logged."""
    try:
        close()
    except BackupError as left:
        if error is None:
            raise
        log.warning("%s", left)


def not_removed(partial: Path, error: OSError) -> DestinationUnsuitable:
    hint = "remove it by hand: it holds restored data"
    return DestinationUnsuitable("remove", str(partial), (error.strerror or "the system refuses").lower(), hint)


def take_name(built: Path, path: Path) -> None:
    """Gives the file ``built`` the name ``path``, which must still be free: a link fails where a rename would
    overwrite. On a file system without links an empty file of ours holds the name first."""
    try:
        os.link(built, path, follow_symlinks=False)
        built.unlink()
    except FileExistsError as error:
        raise DestinationUnsuitable("restore to", str(path), "something took its name meanwhile") from error
    except OSError:
        refuse_existing(path)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            built.replace(path)
        except OSError:
            path.unlink()
            raise
    sync(path.parent)


def sync(path: Path) -> None:
    """fsync of a file or folder that nobody has locked (closing a descriptor drops this process's locks on it)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
