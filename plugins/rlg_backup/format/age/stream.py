"""Payloads as streams: written and read once, forward, in constant memory."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from rlg_backup.core.errors import PayloadDamaged
from rlg_backup.format.age.chunks import (
    CHUNK,
    NONCE,
    RUN,
    SEALED,
    RunDamaged,
    chunk_fault,
    open_run,
    payload_cipher,
    plaintext_size,
    seal_run,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class ByteSink(Protocol):
    """The one thing asked of a sink: a binary file's ``write``."""

    def write(self, data: ReadableBuffer, /) -> int | None: ...


class PayloadWriter(io.RawIOBase):
    """Encrypts what is written to it into ``sink``; the last chunk is written by :meth:`close`.

    ``key`` is a file key (16 bytes) or a staging key (32). The sink stays open, and its errors pass
    through. A payload that was not closed is cut, and readers refuse it; leaving a ``with`` block through
    an error therefore does not close it.
    """

    whole = False  # whether the last chunk is in the sink

    def __init__(self, sink: ByteSink, key: bytes) -> None:
        nonce = secrets.token_bytes(NONCE)
        self._cipher = payload_cipher(key, nonce)
        self._write = sink.write
        self._number = 0
        # Always holds the last bytes written, up to a whole chunk: they may turn out to be the last.
        self._pending = bytearray(CHUNK)
        self._held = 0
        self._sealed = memoryview(b"")  # as long as the longest run so far: most payloads are one chunk
        self._failed = False
        write_all(self._write, nonce)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Encrypt all of ``data``; returns its size in bytes."""
        if self.closed or self._failed:
            raise ValueError("write to a payload that is closed, or whose sink failed")
        view = memoryview(data).cast("B")
        size = len(view)
        if self._held and size:
            view = self._fill(view)
        while len(view) > CHUNK:
            taken = min(RUN, (len(view) - 1) // CHUNK) * CHUNK
            self._seal(view[:taken], last=False)
            view = view[taken:]
        if len(view):
            self._pending[: len(view)] = view
            self._held = len(view)
        return size

    def close(self) -> None:
        """Write the last chunk. Again, or after the sink failed: nothing."""
        try:
            if not self.closed and not self._failed:
                self._seal(memoryview(self._pending)[: self._held], last=True)
                self.whole = True
        finally:
            super().close()

    def abandon(self) -> None:
        """End without a last chunk: what was written stays a cut payload, which no reader accepts."""
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __del__(self) -> None:
        self.abandon()  # never make a forgotten payload whole

    def _fill(self, view: memoryview) -> memoryview:
        """Top up the pending chunk, sealing it once more bytes follow; returns what is left."""
        taken = min(CHUNK - self._held, len(view))
        self._pending[self._held : self._held + taken] = view[:taken]
        self._held += taken
        rest = view[taken:]
        if len(rest):
            self._seal(memoryview(self._pending), last=False)
            self._held = 0
        return rest

    def _seal(self, plain: memoryview, *, last: bool) -> None:
        # Until the sink has it all: going on would use a chunk's nonce twice, and close over a gap.
        self._failed = True
        needed = max(1, -(-len(plain) // CHUNK)) * SEALED
        if len(self._sealed) < needed:
            self._sealed = memoryview(bytearray(needed))
        made = seal_run(self._cipher, self._number, plain, last, self._sealed)
        write_all(self._write, self._sealed[:made])
        self._number += made // SEALED
        self._failed = False


def write_all(write: Callable[[ReadableBuffer], int | None], data: bytes | memoryview) -> None:
    """Write all of ``data``, also to a raw stream, which may take less at a time."""
    done = 0
    while done < len(data):
        written = write(data[done:] if done else data)
        done += len(data) if written is None else written


class PayloadReader(io.BufferedIOBase):
    """Reads a payload from ``stream``: only bytes whose chunk was authenticated come out of it.

    Raises PayloadDamaged where a chunk fails, at a cut, and at anything past the last chunk; after that
    every read raises it again. Only when a read has returned the end of the file is the payload known to
    be whole. ``before`` is what was already taken from the stream. The stream stays open, and its errors
    pass through.
    """

    def __init__(self, stream: BinaryIO, key: bytes, *, before: bytes = b"", name: str = "payload") -> None:
        self._stream, self._key, self._name = stream, key, name
        self._before = memoryview(before)
        nonce = bytearray(NONCE)
        if self._take(memoryview(nonce)) < NONCE:
            raise PayloadDamaged("decrypt", name, "it ends within the nonce of its payload")
        self._cipher = payload_cipher(key, bytes(nonce))
        self._sealed = memoryview(b"")
        self._carried = 0
        self._number = 0
        self._make_room(1)
        self._at = self._end = 0
        self._finished = False
        self._fault: PayloadDamaged | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """``size`` bytes, fewer only at the end; all that is left when ``size`` is negative or None."""
        left = -1 if size is None else size
        parts: list[bytes] = []
        while left and self._ready():
            part = self._pop(left if left > 0 else RUN * CHUNK)
            parts.append(part)
            left -= len(part) if left > 0 else 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """What is at hand, at most ``size`` bytes; empty only at the end."""
        return self._pop(size if size >= 0 else RUN * CHUNK) if size and self._ready() else b""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer``; fewer bytes only at the end."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._ready():
            taken = min(len(view) - done, self._end - self._at)
            view[done : done + taken] = self._plain[self._at : self._at + taken]
            self._at += taken
            done += taken
        return done

    def _pop(self, most: int) -> bytes:
        part = bytes(self._plain[self._at : min(self._end, self._at + most)])
        self._at += len(part)
        return part

    def _ready(self) -> bool:
        """Whether there are bytes to hand out, after opening another run if need be."""
        if self.closed:
            raise ValueError("read from a closed payload")
        if self._at == self._end and not self._finished:
            self._open()
        return self._at < self._end

    def _open(self) -> None:
        """Open the next run; of one with a damaged chunk what stands before that, and the next time its fault."""
        if self._fault is not None:
            raise self._fault
        if self._number == 1:
            self._make_room(RUN)
        filled = self._carried + self._take(self._sealed[self._carried :])
        last = filled < len(self._sealed)
        sealed = self._sealed[: min(filled, len(self._sealed) - 1)]
        if last:
            try:
                plaintext_size(self._number * SEALED + filled, self._name)
            except PayloadDamaged as fault:
                self._fault, last = fault, False
                sealed = sealed[: filled // SEALED * SEALED]
        try:
            opened = open_run(self._cipher, self._number, sealed, last, self._plain)
        except RunDamaged as damage:
            number, rest = self._number + damage.opened, sealed[damage.opened * SEALED :]
            final = last and len(rest) <= SEALED
            self._fault = chunk_fault(self._cipher, number, rest[:SEALED], final, self._name)
            opened = damage.opened * CHUNK
        if self._fault is not None and not opened:
            raise self._fault from None
        self._at, self._end = 0, opened
        self._finished = last and self._fault is None
        self._number += len(self._plain) // CHUNK
        self._carried = 1
        self._sealed[0] = self._sealed[-1]

    def _make_room(self, chunks: int) -> None:
        """Open so many at a time from now on. Most payloads are one chunk, and not worth the 2 MiB of a run."""
        # One byte more: that there is one tells that the last of these chunks is not the payload's.
        room = memoryview(bytearray(chunks * SEALED + 1))
        room[: self._carried] = self._sealed[: self._carried]
        self._sealed, self._plain = room, memoryview(bytearray(chunks * CHUNK))

    def _take(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from the stream; fewer bytes only at its end."""
        done = min(len(buffer), len(self._before))
        buffer[:done] = self._before[:done]
        self._before = self._before[done:]
        while done < len(buffer):
            block = self._stream.read(len(buffer) - done)
            if not block:
                break
            buffer[done : done + len(block)] = block
            done += len(block)
        return done
