"""The archive's ZIP, written in one pass and read by ranges (FORMAT.md section 3)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from ..core.errors import DirectoryDamaged, MemberDamaged
from .inflate import MemberStream
from .names import fault
from .zipfields import (
    END_SIZE,
    LARGEST,
    DosTime,
    Member,
    central_entry,
    end_records,
    local_header,
    parse_end,
    parse_entry,
)

ReadAt = Callable[[int, int], bytes]  # (offset, length) -> exactly that many bytes, fewer only at the end

DIRECTORY_LIMIT = 1024 * 1024 * 1024  # bytes; some 8 million members
_PIECE = 1024 * 1024
_MOST_INFLATED = 1040  # Deflate makes at most 1032 bytes of one; a few more for tiny members
_SUBJECT = "ZIP directory"


@dataclass(frozen=True)
class Directory:
    """Where the directory lies in the plaintext, in bytes, and its SHA-256 in hex: for the manifest."""

    offset: int
    length: int
    sha256: str


class ZipWriter:
    """Writes members one after another to ``sink``, which is only ever written to and is not closed.

    ``when`` (aware) dates every member. Errors of ``sink`` pass through; after any error the archive is void.
    """

    def __init__(self, sink: BinaryIO, when: datetime) -> None:
        self._sink = sink
        self._when = DosTime.of(when)
        self._offset = 0
        self._names: set[str] = set()
        self._entries = bytearray()

    def add(
        self,
        name: str,
        stream: BinaryIO,
        *,
        size: int,
        compressed_size: int,
        crc32: int,
        sha256: bytes,
        deflated: bool,
    ) -> None:
        """Copies a member that ``packing`` made, in pieces of 1 MiB.

        Raises DirectoryDamaged for a name that is not allowed or stands twice, MemberDamaged when
        ``stream`` is not ``compressed_size`` bytes long.
        """
        reason = "the name stands twice" if name in self._names else fault(name)
        if reason:
            raise DirectoryDamaged("write", name[:80], reason)
        member = Member(name, size, compressed_size, crc32, sha256, deflated, self._offset)
        self._sink.write(local_header(member, self._when))
        left = compressed_size
        while left and (piece := stream.read(min(left, _PIECE))):
            self._sink.write(piece)
            left -= len(piece)
        if left or stream.read(1):
            raise MemberDamaged("write", name, f"what was staged is not {compressed_size} bytes long")
        self._names.add(name)
        self._entries += central_entry(member, self._when)
        self._offset = member.end

    def close(self) -> Directory:
        """Writes the directory: call it once, last."""
        records = end_records(len(self._names), len(self._entries), self._offset)
        digest = hashlib.sha256(self._entries)
        digest.update(records)
        self._sink.write(self._entries)
        self._sink.write(records)
        return Directory(self._offset, len(self._entries) + len(records), digest.hexdigest())


class ZipReader:
    """The members of an archive, by the bytes of its directory, which lie at ``offset`` of the plaintext.

    ``read_at`` gives plaintext bytes and is called for a member only when it is opened. Raises
    DirectoryDamaged for a directory that is not exactly one this format writes: entries in the order of
    their members, which fill the file from 0 to ``offset`` without a gap.
    """

    def __init__(self, read_at: ReadAt, directory: bytes, offset: int) -> None:
        self._read_at = read_at
        self.members: dict[str, Member] = {}
        try:
            self._when = self._parse(directory, offset)
        except ValueError as error:
            raise DirectoryDamaged("read", _SUBJECT, str(error)) from None

    @classmethod
    def locate(cls, read_at: ReadAt, size: int) -> ZipReader:
        """Finds the directory from the end of a plaintext of ``size`` bytes, where no manifest tells it."""
        try:
            _, length, offset = parse_end(read_at(size - END_SIZE, END_SIZE) if size >= END_SIZE else b"")
        except ValueError as error:
            raise DirectoryDamaged("read", _SUBJECT, str(error)) from None
        if offset + length + END_SIZE != size or length > DIRECTORY_LIMIT:
            raise DirectoryDamaged("read", _SUBJECT, "it does not end with the archive")
        return cls(read_at, read_at(offset, size - offset), offset)

    def open(self, name: str) -> BinaryIO:
        """A member's uncompressed bytes, forward; at most about 2 MiB are held.

        The last bytes are handed out only after size, CRC-32 and SHA-256 were found right, else
        MemberDamaged: what comes before must not be used until the end was reached.
        """
        member = self._member(name)
        header = local_header(member, self._when)
        if self._read_at(member.offset, len(header)) != header:
            raise MemberDamaged("read", name, "its local header differs from the directory")
        stream: BinaryIO = io.BufferedReader(MemberStream(self._read_at, member), _PIECE)
        return stream

    def read(self, name: str, *, limit: int) -> bytes:
        """A small member whole, checked; MemberDamaged if the directory says it is over ``limit`` bytes."""
        if self._member(name).size > limit:
            raise MemberDamaged("read", name, f"it is longer than {limit} bytes")
        with self.open(name) as stream:
            return stream.read()

    def _member(self, name: str) -> Member:
        if name not in self.members:
            raise MemberDamaged("read", name, "the archive has no such member")
        return self.members[name]

    def _parse(self, directory: bytes, offset: int) -> DosTime:
        if len(directory) < END_SIZE:
            raise ValueError("it has no end records")
        length = len(directory) - END_SIZE
        count, *place = parse_end(directory[length:])
        if place != [length, offset]:
            raise ValueError("its end records tell another place or length")
        entries = directory[:length]
        position, expected, when = 0, 0, DosTime(0, 0)
        while position < length:
            member, time, position = parse_entry(entries, position)
            if self.members and time != when:
                raise ValueError("its entries have different times")
            if member.offset != expected:
                raise ValueError(f"member '{member.name}' does not begin where the one before it ends")
            self._accept(member)
            expected, when = member.end, time
        if (len(self.members), expected) != (count, offset):
            raise ValueError("its members do not fill the archive")
        return when

    def _accept(self, member: Member) -> None:
        if member.name in self.members:
            raise ValueError(f"it has two members '{member.name}'")
        if max(member.size, member.end) > LARGEST:
            raise ValueError(f"member '{member.name}' is larger than a file can be")
        possible = member.compressed_size * _MOST_INFLATED if member.deflated else member.compressed_size
        if member.size > possible or (not member.deflated and member.size != possible):
            raise ValueError(f"member '{member.name}' cannot have the size it tells")
        self.members[member.name] = member
