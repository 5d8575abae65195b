"""lease.json: who may commit to a source's catalog on one target, and the commit under way.

Time. A lease ends at the later of ``expires_at`` (by the holder's clock) and ``modified`` + ``seconds`` (by
the target's clock): a holder whose clock was set back, or runs behind, does not lose a living lease. A lease
whose end lies further away than its own length was written by a clock that ran ahead; then the target's
clock decides, so that nobody waits longer than twice the length plus twice SKEW. This assumes that the clocks of
workers and targets differ by less than a lease's length. Where they do not, somebody loses, or waits for, a
lease, and never more than that: what commits is decided by compare-and-swap alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..core.errors import DocumentDamaged, FormatUnsupported
from ..format.canonical import parse, serialize
from .records import RECORD_LIMIT

LEASE_LIMIT = 2 * RECORD_LIMIT + 4096  # bytes; a record's quotes are escaped once more
LONGEST = 366 * 86400  # seconds of a lease
HOLDER_LIMIT = 200  # characters of a holder's name
SKEW = timedelta(minutes=5)  # by which the clocks of workers and targets may differ without anybody noticing
_VERSION = 1
_FIELDS = {"version", "change", "token", "nonce", "holder", "seconds", "expires_at", "pending"}
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NONCE = re.compile(r"[0-9a-f]{16}")
_HINT = "when no run is at work on this source, remove the file; catalog records are not affected"


@dataclass(frozen=True)
class Pending:
    """A commit that was decided: the record's key and whole bytes. Whoever comes next finishes it."""

    key: str
    record: bytes


@dataclass(frozen=True)
class LeaseFile:
    """The file's content. ``token`` counts the holders, ``nonce`` tells apart two with one token (after the file
    was lost); ``holder`` and ``expires_at`` are None once it was released; ``seconds`` is its length.

    ``change`` counts the writes: targets tag an object by its content, and without it a file that came
    back to an earlier content would have the earlier tag, and a late swap would succeed.
    """

    token: int
    nonce: str
    holder: str | None
    seconds: int
    expires_at: datetime | None
    pending: Pending | None = None
    change: int = 1

    def to_bytes(self, subject: str) -> bytes:
        pending = self.pending and {"key": self.pending.key, "record": self.pending.record.decode()}
        ends = self.expires_at and write_instant(self.expires_at)
        body: dict[str, object] = {"version": _VERSION, "change": self.change, "token": self.token, "nonce": self.nonce}
        body |= {"holder": self.holder, "seconds": self.seconds, "expires_at": ends, "pending": pending}
        return serialize(body, subject)

    @classmethod
    def parse(cls, data: bytes, subject: str) -> LeaseFile:
        """Raises DocumentDamaged for anything ``to_bytes`` does not write, FormatUnsupported for a later version."""
        try:
            value = parse(data, subject, limit=LEASE_LIMIT)
        except DocumentDamaged as error:
            raise DocumentDamaged(error.verb, error.subject, error.cause, _HINT) from None
        version = value.get("version")
        if type(version) is int and version > _VERSION:
            raise FormatUnsupported("read", subject, f"it has version {version}, this release reads {_VERSION}")
        try:
            return cls._from(value)
        except (ValueError, OverflowError):
            raise DocumentDamaged("read", subject, "it is not a lease", _HINT) from None

    @classmethod
    def _from(cls, value: dict[str, object]) -> LeaseFile:
        version, change, token, seconds = (_count(value.get(n)) for n in ("version", "change", "token", "seconds"))
        nonce, holder, ends = (value.get(name) for name in ("nonce", "holder", "expires_at"))
        if version != _VERSION or value.keys() != _FIELDS or (holder is None) != (ends is None) or seconds > LONGEST:
            raise ValueError
        if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
            raise ValueError
        name = holder if isinstance(holder, str) and is_holder(holder) else None
        if name != holder:
            raise ValueError
        expires_at = None if ends is None else _read_instant(ends)
        return cls(token, nonce, name, seconds, expires_at, _read_pending(value.get("pending")), change)

    def free(self, now: datetime, modified: datetime) -> bool:
        """Whether it was released or ran out; ``modified`` is the target's time of the file (module docstring)."""
        if self.expires_at is None:
            return True
        length = timedelta(seconds=self.seconds)
        if self.expires_at > now + length + SKEW:
            return now >= modified + length + SKEW
        return now >= max(self.expires_at, modified + length)


def is_holder(value: str) -> bool:
    """Whether a text may name a holder: it is printed to other people's logs."""
    return 0 < len(value) <= HOLDER_LIMIT and value.isascii() and value.isprintable()


def write_instant(value: datetime) -> str:
    """RFC 3339 in UTC, seconds, ``Z``; a part of a second is rounded up, for a lease never ends early."""
    value = value.astimezone(UTC)
    if value.microsecond:
        value = value.replace(microsecond=0) + timedelta(seconds=1)
    return value.replace(tzinfo=None).isoformat() + "Z"


def _count(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError
    return value


def _read_instant(value: object) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _read_pending(value: object) -> Pending | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"key", "record"}:
        raise ValueError
    key, record = value["key"], value["record"]
    if not isinstance(key, str) or not isinstance(record, str):
        raise ValueError
    return Pending(key, record.encode())
