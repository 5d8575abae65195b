"""The ZIP structures this format uses, in their one spelling (APPNOTE 6.3.10; FORMAT.md section 3).

A reader takes the values out of a structure, writes the structure again and compares: whatever else a
field could say (other versions, flags, attributes, comments, disks) is refused without a rule for each.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from .names import fault

MAX16, MAX32 = 0xFFFF, 0xFFFFFFFF
LARGEST = 2**63 - 1  # bytes; what a file offset can be
STORED, DEFLATED = 0, 8

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
END_SIZE = _END64.size + _LOCATOR.size + _END.size

_ZIP64_EXTRA, _DIGEST_EXTRA = 0x0001, 0x4C52
_DIGEST = struct.Struct("<HHB32s")
_UTF8 = 0x0800  # flag bit 11
_PLAIN, _ZIP64 = 20, 45  # version needed to extract
_UNIX = 3 << 8
_MODE = 0o100600 << 16


@dataclass(frozen=True, slots=True)
class Member:
    """One member. Sizes and ``offset`` (of its local header) in bytes; ``sha256`` of the uncompressed bytes, raw."""

    name: str
    size: int
    compressed_size: int
    crc32: int
    sha256: bytes
    deflated: bool
    offset: int

    @property
    def data_offset(self) -> int:
        """Where its stored or deflated bytes begin."""
        return self.offset + _LOCAL.size + len(self.name.encode()) + (20 if self._large else 0)

    @property
    def end(self) -> int:
        """The offset of the byte after its last one."""
        return self.data_offset + self.compressed_size

    @property
    def _large(self) -> bool:
        return max(self.size, self.compressed_size) >= MAX32


@dataclass(frozen=True, slots=True)
class DosTime:
    """A time as ZIP has it: two seconds exact, 1980 to 2107."""

    time: int
    date: int

    @classmethod
    def of(cls, when: datetime) -> DosTime:
        """From an aware datetime; what lies outside the years becomes the nearest end."""
        utc = when.astimezone(UTC)
        first, last = datetime(1980, 1, 1, tzinfo=UTC), datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
        utc = min(max(utc, first), last)
        time = utc.hour << 11 | utc.minute << 5 | utc.second // 2
        return cls(time, (utc.year - 1980) << 9 | utc.month << 5 | utc.day)


def local_header(member: Member, when: DosTime) -> bytes:
    """What stands before a member's bytes. A ZIP64 field in a local header holds both sizes, always."""
    name, large = member.name.encode(), member._large
    extra = struct.pack("<HHQQ", _ZIP64_EXTRA, 16, member.size, member.compressed_size) if large else b""
    sizes = (MAX32, MAX32) if large else (member.compressed_size, member.size)
    needed, method = (_ZIP64 if large else _PLAIN), (DEFLATED if member.deflated else STORED)
    fixed = _LOCAL.pack(
        b"PK\x03\x04", needed, _UTF8, method, when.time, when.date, member.crc32, *sizes, len(name), len(extra)
    )
    return fixed + name + extra


def central_entry(member: Member, when: DosTime) -> bytes:
    """A member's entry of the directory; its ZIP64 field holds the large ones of size, compressed size, offset."""
    name = member.name.encode()
    large = [value for value in (member.size, member.compressed_size, member.offset) if value >= MAX32]
    extra = struct.pack(f"<HH{len(large)}Q", _ZIP64_EXTRA, 8 * len(large), *large) if large else b""
    extra += _DIGEST.pack(_DIGEST_EXTRA, 33, 1, member.sha256)
    needed, method = (_ZIP64 if large else _PLAIN), (DEFLATED if member.deflated else STORED)
    fixed = _CENTRAL.pack(
        b"PK\x01\x02", _UNIX | _ZIP64, needed, _UTF8, method, when.time, when.date, member.crc32,
        min(member.compressed_size, MAX32), min(member.size, MAX32), len(name), len(extra), 0, 0, 0, _MODE,
        min(member.offset, MAX32),
    )  # fmt: skip
    return fixed + name + extra


def end_records(count: int, length: int, offset: int) -> bytes:
    """The three records after the entries; ``length`` of all entries and ``offset`` of the first, in bytes."""
    end64 = _END64.pack(b"PK\x06\x06", _END64.size - 12, _UNIX | _ZIP64, _ZIP64, 0, 0, count, count, length, offset)
    locator = _LOCATOR.pack(b"PK\x06\x07", 0, offset + length, 1)
    few = min(count, MAX16)
    return end64 + locator + _END.pack(b"PK\x05\x06", 0, 0, few, few, min(length, MAX32), min(offset, MAX32), 0)


def parse_end(data: bytes) -> tuple[int, int, int]:
    """(count, length of the entries, offset of the first) from the last END_SIZE bytes of an archive.

    Raises ValueError when they are not such records, whole.
    """
    try:
        fields = _END64.unpack_from(data)
    except struct.error:
        raise ValueError("it has no end records") from None
    count, length, offset = fields[7:10]
    if max(length, offset) > LARGEST or end_records(count, length, offset) != data:
        raise ValueError("its end records are not as this format writes them")
    return count, length, offset


def parse_entry(data: bytes, position: int) -> tuple[Member, DosTime, int]:
    """The entry at ``position``, and the position after it. Raises ValueError when it is not one."""
    try:
        fields = _CENTRAL.unpack_from(data, position)
        method, time, date, crc32, compressed_size, size, name_size, extra_size = fields[4:12]
        name_end = position + _CENTRAL.size + name_size
        name = data[position + _CENTRAL.size : name_end].decode("ascii")
        large = struct.unpack_from(f"<{max(0, extra_size - 41) // 8}Q", data, name_end + 4)
        sha256 = _DIGEST.unpack_from(data, name_end + extra_size - _DIGEST.size)[3]
    except (struct.error, UnicodeDecodeError):
        raise ValueError("an entry is cut short or its name is not plain") from None
    if reason := fault(name):
        raise ValueError(f"an entry cannot be used: {reason}")
    # In the order of the field; a value of the fixed part that says "look there" takes the next one.
    wide, rest = [], list(large)
    for value in (size, compressed_size, fields[16]):
        wide.append(rest.pop(0) if value == MAX32 and rest else value)
    member = Member(name, wide[0], wide[1], crc32, sha256, method == DEFLATED, wide[2])
    when, end = DosTime(time, date), name_end + extra_size
    if central_entry(member, when) != data[position:end]:
        raise ValueError(f"its entry '{name}' is not as this format writes it")
    return member, when, end
