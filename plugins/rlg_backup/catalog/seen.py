"""The newest heads this machine has seen: what shows that a target was rolled back.

The file lies outside every target, for whoever can hide records there could hide the memory of them too.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import BackupError, CatalogForged, DocumentDamaged, InvalidSetting, StorageFull, StorageUnavailable
from .points import MOVED_HINT

_VERSION = 2
_WITHOUT_DIGEST = 1  # as releases before wrote it; read, and written anew with the next head
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HINT = "restore the file from a copy; without one, compare the targets with each other before removing it"


@dataclass(frozen=True)
class SeenHead:
    """Sequence of a record and the SHA-256 of its bytes, in hex."""

    sequence: int
    sha256: str


class SeenHeads:
    """Remembers the newest head of each (target, source) in one small JSON file, mode 0600.

    Monotonic and safe between processes: changes are made under a lock beside the file and replace it whole.
    The file holds a digest of what it says, for a name that rotted would be a head never seen; it proves nothing
    against who can write here. A file that is not there means that nothing was seen yet; its folder is made
    when needed. Raises DocumentDamaged when the file is not what ``remember`` wrote, InvalidSetting when this
    user may not use the path, StorageFull, StorageUnavailable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, target: str, source: str) -> SeenHead | None:
        """The newest head seen of a source on a target, or None."""
        return self._read().get((target, source))

    def remember(self, target: str, source: str, head: SeenHead) -> None:
        """Notes a head. An older one than is known changes nothing, so that it can be called again.

        Raises CatalogForged when another record with the same sequence was seen before.
        """
        with self._locked():
            heads = self._read()
            known = heads.get((target, source))
            if known is not None and known.sequence == head.sequence and known.sha256 != head.sha256:
                cause = f"record {head.sequence:08d} on target '{target}' is not the one seen before"
                raise CatalogForged("remember", f"catalog/{source}", cause, MOVED_HINT)
            if known is None or known.sequence < head.sequence:
                heads[(target, source)] = head
                self._write(heads)

    def _read(self) -> dict[tuple[str, str], SeenHead]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._failure("read", error) from None
        try:
            return _parse(data)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # every way that JSON can be another
            raise DocumentDamaged("read", str(self.path), "it is not a file of seen heads", _HINT) from None

    def _write(self, heads: dict[tuple[str, str], SeenHead]) -> None:
        data = _render(heads)
        temporary: str | None = None
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # mode 0600
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
            temporary = None
            self._sync_folder()
        except OSError as error:
            raise self._failure("write", error) from None
        finally:
            if temporary is not None:
                with suppress(OSError):  # the first error is the one to tell
                    Path(temporary).unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time; the lock file stays, for removing it would let two hold the lock."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise self._failure("lock", error) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def _sync_folder(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _failure(self, verb: str, error: OSError) -> BackupError:
        cause = (error.strerror or type(error).__name__).lower()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageFull(verb, str(self.path), cause)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
            return InvalidSetting(verb, str(self.path), cause, "the file of seen heads needs a folder this user owns")
        return StorageUnavailable(verb, str(self.path), cause)


def _render(heads: dict[tuple[str, str], SeenHead], version: int = _VERSION) -> bytes:
    nested: dict[str, dict[str, dict[str, object]]] = {}
    for (target, source), head in sorted(heads.items()):
        nested.setdefault(target, {})[source] = {"sequence": head.sequence, "sha256": head.sha256}
    digest = hashlib.sha256(json.dumps(nested).encode()).hexdigest() if version == _VERSION else None
    document = {"version": version, "heads": nested} | ({"sha256": digest} if digest else {})
    return json.dumps(document, indent=1).encode()


def _parse(data: bytes) -> dict[tuple[str, str], SeenHead]:
    """Raises ValueError, TypeError, KeyError or AttributeError for anything that ``_render`` does not give."""
    heads: dict[tuple[str, str], SeenHead] = {}
    for target, sources in json.loads(data.decode("utf-8"))["heads"].items():
        for source, head in sources.items():
            if type(head["sequence"]) is not int or head["sequence"] < 1 or not _SHA256.fullmatch(head["sha256"]):
                raise ValueError
            heads[(target, source)] = SeenHead(head["sequence"], head["sha256"])
    if data not in (_render(heads), _render(heads, _WITHOUT_DIGEST)):
        raise ValueError
    return heads
