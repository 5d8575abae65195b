"""Payloads read in any order, by ranged reads: what a restore of one table or country needs."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from rlg_backup.core.errors import PayloadDamaged
from rlg_backup.format.age.chunks import (
    CHUNK,
    NONCE,
    SEALED,
    RunDamaged,
    chunk_fault,
    open_run,
    payload_cipher,
    plaintext_size,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ReadRange = Callable[[int, int], bytes]  # (offset, length) -> exactly that many bytes
CACHED = 16  # chunks kept, at most: 1 MiB
BATCH = 64  # chunks asked for in one ranged read, at most: 4 MiB


class SeekablePayloadReader:
    """Random access to the payload that is the ``size`` bytes behind ``read_range``.

    The last chunk is read first and must open as the last one: that proves ``size``, the size of the
    plaintext in bytes. Every chunk is authenticated at its place before a byte of it is handed out.
    Raises PayloadDamaged; what ``read_range`` raises passes through. For one thread at a time.
    """

    def __init__(self, read_range: ReadRange, size: int, key: bytes, *, name: str = "payload") -> None:
        self._read_range, self._name = read_range, name
        if size < NONCE:
            raise PayloadDamaged("decrypt", name, "it ends within the nonce of its payload")
        self.size = plaintext_size(size - NONCE, name)
        self._sealed_size = size - NONCE
        self._last = -(-self._sealed_size // SEALED) - 1
        self._cipher = payload_cipher(key, self._fetch(0, NONCE))
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._plain = bytearray()
        self._load(self._last, self._last + 1, 0, memoryview(bytearray()))

    def read_at(self, offset: int, length: int) -> bytes:
        """The ``length`` bytes of plaintext from ``offset``; fewer where the payload ends, as a file gives."""
        if offset < 0 or length < 0:
            raise ValueError("an offset and a length are not negative")
        buffer = bytearray(max(0, min(length, self.size - offset)))
        self.readinto_at(offset, memoryview(buffer))
        return bytes(buffer)

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill ``buffer`` (bytes) from ``offset``: how many, fewer where the payload ends."""
        length = max(0, min(len(buffer), self.size - offset))
        done = 0
        while done < length:
            number, skip = divmod(offset + done, CHUNK)
            cached = self._cache.get(number)
            if cached is None:
                done += self._load(number, self._missing_until(number, offset + length), skip, buffer[done:length])
            else:
                self._cache.move_to_end(number)
                done += _copy(memoryview(cached)[skip:], buffer[done:length])
        return done

    def as_file(self) -> PayloadFile:
        """The plaintext as a file to read and seek in; for runs of small reads put io.BufferedReader over it."""
        return PayloadFile(self)

    def _missing_until(self, number: int, end: int) -> int:
        """Where the run of chunks stops that starts at ``number``, is needed before ``end`` and not cached."""
        limit = min(-(-end // CHUNK), number + BATCH)
        stop = number + 1
        while stop < limit and stop not in self._cache:
            stop += 1
        return stop

    def _load(self, first: int, stop: int, skip: int, out: memoryview) -> int:
        """Open the chunks from ``first`` to before ``stop`` and copy them, less ``skip`` bytes, to ``out``."""
        start, end = first * SEALED, min(stop * SEALED, self._sealed_size)
        sealed = memoryview(self._fetch(NONCE + start, end - start))
        plain = self._room((stop - first) * CHUNK)
        try:
            opened = open_run(self._cipher, first, sealed, stop > self._last, plain)
        except RunDamaged as damage:
            number = first + damage.opened
            chunk = sealed[damage.opened * SEALED :][:SEALED]
            raise chunk_fault(self._cipher, number, chunk, number == self._last, self._name) from None
        copied = _copy(plain[skip:opened], out)
        # Chunks that were handed out whole will hardly be asked for again; those at the edges will.
        for index in {0, stop - first - 1}:
            chunk = plain[index * CHUNK : min(opened, (index + 1) * CHUNK)]
            if index * CHUNK < skip or index * CHUNK + len(chunk) > skip + copied:
                self._keep(first + index, bytes(chunk))
        return copied

    def _room(self, length: int) -> memoryview:
        """A buffer for plaintext, used again: new memory for each load would cost more than decrypting."""
        if len(self._plain) < length:
            self._plain = bytearray(length)
        return memoryview(self._plain)[:length]

    def _keep(self, number: int, chunk: bytes) -> None:
        self._cache[number] = chunk
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)

    def _fetch(self, offset: int, length: int) -> bytes:
        data = self._read_range(offset, length)
        if len(data) != length:
            raise PayloadDamaged("decrypt", self._name, f"of {length} bytes at {offset} the storage gave {len(data)}")
        return data


class PayloadFile(io.RawIOBase):
    """A seekable, read-only file over a :class:`SeekablePayloadReader`."""

    def __init__(self, reader: SeekablePayloadReader) -> None:
        self._reader = reader
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As of any file: past the end is allowed, before the start is a ValueError."""
        self._check_open()
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._reader.size}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError("there is no such position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer``; fewer bytes only at the end. Raises as the reader does."""
        self._check_open()
        done = self._reader.readinto_at(self._position, memoryview(buffer).cast("B"))
        self._position += done
        return done

    def readall(self) -> bytes:
        """All that is left, in memory."""
        self._check_open()
        data = self._reader.read_at(self._position, max(0, self._reader.size - self._position))
        self._position += len(data)
        return data

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")


def _copy(plain: memoryview, out: memoryview) -> int:
    length = min(len(plain), len(out))
    out[:length] = plain[:length]
    return length
