"""Reads one member: bounded memory, never past its end, and nothing of its end before it was checked."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..core.errors import MemberDamaged
from .zipfields import Member

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 1024 * 1024  # compressed bytes asked for at once, and uncompressed bytes made at once


class MemberStream(io.RawIOBase):
    """A member's uncompressed bytes, forward only; raises MemberDamaged.

    The last block (up to 1 MiB) is handed out only once size, CRC-32 and SHA-256 are right.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], member: Member) -> None:
        super().__init__()
        self._blocks = _checked(read_at, member)
        self._block = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if not self._block:
            self._block = memoryview(next(self._blocks, b""))
        given, self._block = self._block[: len(view)], self._block[len(view) :]
        view[: len(given)] = given
        return len(given)

    def readall(self) -> bytes:
        rest = b"".join([self._block, *self._blocks])
        self._block = memoryview(b"")
        return rest


def _checked(read_at: Callable[[int, int], bytes], member: Member) -> Iterator[bytes]:
    left, crc32, sha256 = member.size, 0, hashlib.sha256()
    held = b""  # one block behind, so that the last one waits for the check
    stored = _fetched(read_at, member)
    for block in _inflated(stored, member) if member.deflated else stored:
        left -= len(block)
        if left < 0:
            raise _damaged(member, f"it is longer than its {member.size} bytes")
        crc32 = zlib.crc32(block, crc32)
        sha256.update(block)
        if held:
            yield held
        held = block
    if left:
        raise _damaged(member, f"it ends before its {member.size} bytes")
    if crc32 != member.crc32:
        raise _damaged(member, "its CRC-32 is wrong")
    if sha256.digest() != member.sha256:
        raise _damaged(member, "its SHA-256 is not the one the directory names")
    if held:
        yield held


def _fetched(read_at: Callable[[int, int], bytes], member: Member) -> Iterator[bytes]:
    for offset in range(member.data_offset, member.end, _PIECE):
        length = min(_PIECE, member.end - offset)
        piece = read_at(offset, length)
        if len(piece) != length:
            raise _damaged(member, "the archive ends inside it")
        yield piece


def _inflated(stored: Iterator[bytes], member: Member) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in stored:
        while piece:
            if inflater.eof:
                raise _damaged(member, "bytes follow its deflated end")
            block = _inflate(inflater, piece, member)
            piece = inflater.unconsumed_tail or inflater.unused_data
            if block:
                yield block
    while not inflater.eof:  # the input is used up; what is left lies inside the inflater
        block = _inflate(inflater, b"", member)
        if block:
            yield block
        elif not inflater.eof:
            raise _damaged(member, "its deflated bytes have no end")


def _inflate(inflater: zlib._Decompress, data: bytes, member: Member) -> bytes:
    try:
        return inflater.decompress(data, _PIECE)
    except zlib.error:
        raise _damaged(member, "its deflated bytes do not inflate") from None


def _damaged(member: Member, cause: str) -> MemberDamaged:
    return MemberDamaged("read", member.name, cause)
