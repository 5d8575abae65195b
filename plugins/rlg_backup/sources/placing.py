"""Where a restored copy is built and how it takes its name: beside it, and never over anything."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ..core.errors import DestinationUnsuitable


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
        built.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """fsync of a file or folder that nobody has locked (closing a descriptor drops this process's locks on it)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
