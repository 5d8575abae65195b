"""Makes a member's bytes once, at staging time: stored or deflated, with everything the directory needs."""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PROBE = 64 * 1024  # bytes tried before deciding
_PIECE = 1024 * 1024
_LEVEL = 1


@dataclass(frozen=True)
class Packed:
    """What ``ZipWriter.add`` must be told. Sizes in bytes; ``sha256`` raw, of the uncompressed bytes."""

    size: int
    compressed_size: int
    crc32: int
    sha256: bytes
    deflated: bool


class MemberSink(io.RawIOBase):
    """A file to write one member to; what reaches ``sink`` is stored or deflated. Does not close ``sink``.

    ``deflate`` None: decided from the first 64 KiB, which must shrink by a tenth. After ``close``,
    ``packed`` says what was written. Errors of ``sink`` pass through.
    """

    def __init__(self, sink: BinaryIO, *, deflate: bool | None = None) -> None:
        super().__init__()
        self._sink = sink
        self._deflate = deflate
        self._probe = bytearray()  # held back while nothing is decided
        self._deflater: zlib._Compress | None = None
        self._size = self._compressed = self._crc32 = 0
        self._sha256 = hashlib.sha256()
        self.packed: Packed | None = None

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        """The number of uncompressed bytes written."""
        return self._size

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        self._size += len(view)
        self._crc32 = zlib.crc32(view, self._crc32)
        self._sha256.update(view)
        if self._deflate is None:
            self._probe += view
            if len(self._probe) >= _PROBE:
                self._decide()
        else:
            self._pass(view)
        return len(view)

    def close(self) -> None:
        """Flushes; idempotent."""
        if not self.closed:
            self._decide()
            if self._deflater is not None:
                self._emit(self._deflater.flush())
            digest = self._sha256.digest()
            self.packed = Packed(self._size, self._compressed, self._crc32, digest, bool(self._deflate))
        super().close()

    def _decide(self) -> None:
        if self._deflate is None:
            probe = self._probe[:_PROBE]
            self._deflate = len(zlib.compress(probe, _LEVEL)) * 10 <= len(probe) * 9
        held, self._probe = self._probe, bytearray()
        self._pass(held)

    def _pass(self, data: ReadableBuffer) -> None:
        if self._deflate and self._deflater is None:
            self._deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._emit(self._deflater.compress(data) if self._deflater is not None else data)

    def _emit(self, data: ReadableBuffer) -> None:
        size = memoryview(data).nbytes
        if size:
            self._sink.write(data)
            self._compressed += size


def pack(stream: BinaryIO, sink: BinaryIO, *, deflate: bool | None = None) -> Packed:
    """Reads ``stream`` to its end, once, in pieces of 1 MiB, and writes a member's bytes to ``sink``."""
    with MemberSink(sink, deflate=deflate) as member:
        while piece := stream.read(_PIECE):
            member.write(piece)
    if member.packed is None:
        raise AssertionError("close() sets it")
    return member.packed
