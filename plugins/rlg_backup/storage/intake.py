"""The file a driver is about to store, hashed as it is read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from rlg_backup.core.beside import Beside
from rlg_backup.storage import faults


class PromisedFile:
    """A file read once, forward, which must turn out to have the SHA-256 that was promised.

    What is hashed is what is handed out, so a file that changes while it is read is found too.
    ``size`` is the one at opening, and ``position`` how far it was read, in bytes. A file that cannot be
    read is ObjectDamaged: it is the staged one that fails, not the target.
    """

    def __init__(self, verb: str, key: str, path: Path, sha256: str) -> None:
        self._verb, self._key, self._promised = verb, key, sha256.lower()
        self._hash, self._beside, self.position = hashlib.sha256(), Beside(), 0
        try:
            self._file = path.open("rb", buffering=0)
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise faults.unreadable(verb, key, os.strerror(error.errno or 0)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def read(self, length: int) -> bytes:
        """Exactly ``length`` bytes, or fewer at the end of the file."""
        try:
            block = self._file.read(length)
            while block and len(block) < length and (more := self._file.read(length - len(block))):
                block += more
        except OSError as error:
            raise faults.unreadable(self._verb, self._key, os.strerror(error.errno or 0)) from None
        self._beside.run(self._hash.update, block)
        self.position += len(block)
        return block

    def again(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes that were read before. They are not hashed: what stores them must have a checksum."""
        try:
            return os.pread(self._file.fileno(), min(length, self.position - offset), offset)
        except OSError as error:
            raise faults.unreadable(self._verb, self._key, os.strerror(error.errno or 0)) from None

    def verify(self) -> None:
        """ObjectDamaged unless everything read so far has the promised digest."""
        self._beside.wait()
        if self._hash.hexdigest() != self._promised:
            raise faults.not_as_promised(self._verb, self._key)
