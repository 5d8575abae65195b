"""The lease of a source on a target, and the fence around its catalog.

Only the file ``lease.json`` decides who commits, and it changes by compare-and-swap alone. A commit first
becomes part of that file (``pending``): that swap is the moment of decision. Then its record is
written, then ``pending`` is cleared. Whoever finds a ``pending`` finishes it before anything else, so a holder
that dies or freezes between the steps leaves nothing in doubt, and one that wakes up after its lease was
taken finds another version of the file and can decide nothing. See lease_file.py for clocks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ..core.errors import (
    CatalogForged,
    InvalidSetting,
    LeaseHeld,
    LeaseLost,
    ObjectExists,
    ObjectMissing,
    StorageUnavailable,
)
from ..format.signing import Signer
from .lease_file import HOLDER_LIMIT, LEASE_LIMIT, LONGEST, LeaseFile, Pending, is_holder, write_instant
from .points import MOVED_HINT, lease_key, list_entries, parse_key
from .records import check_record, follows, put_record, read_record
from .store import Store

Clock = Callable[[], datetime]  # gives an aware time
ATTEMPTS = 20  # swaps tried against a file that keeps changing; two or three are seen in practice


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Found:
    """The lease file as it was read (None: there is none), and the tag that a swap must name."""

    file: LeaseFile | None
    tag: str | None
    modified: datetime


class Lease:
    """The right to commit backups of ``source`` to one target.

    Holds no state but who it is: every method reads the file anew, so one lease may be used by several
    processes and threads (a heartbeat beside the steps of a run). Methods raise StorageError's subclasses,
    DocumentDamaged when the file is not a lease, and what ``settle`` raises.
    """

    def __init__(
        self, store: Store, source: str, token: int, nonce: str, holder: str, *, trusted: Sequence[Signer], clock: Clock
    ) -> None:
        self.store, self.source = store, source
        self.token, self.nonce, self.holder = token, nonce, holder
        self.trusted, self.clock = trusted, clock
        self.key = lease_key(source)

    @classmethod
    def acquire(
        cls,
        store: Store,
        source: str,
        holder: str,
        ttl: timedelta,
        *,
        trusted: Sequence[Signer],
        clock: Clock = utc_now,
    ) -> Lease:
        """Takes a lease nobody holds, for ``ttl`` (whole seconds, rounded up) unless it is renewed.

        ``holder`` tells people who it is (host/pid/run). A commit the last holder left half done is finished
        first. Raises LeaseHeld, and InvalidSetting for a holder or a ttl that cannot be.
        """
        seconds = -(-ttl // timedelta(seconds=1))
        if not is_holder(holder):
            raise InvalidSetting("lease", source, f"a holder is 1 to {HOLDER_LIMIT} printable ASCII characters")
        if not 1 <= seconds <= LONGEST:
            raise InvalidSetting("lease", source, "a lease is one second to a year long")
        lease = cls(store, source, 0, secrets.token_hex(8), holder, trusted=trusted, clock=clock)
        for _ in range(ATTEMPTS):
            found = lease.look()
            if lease._is_mine(found.file):  # the swap before arrived, its answer did not
                return lease
            if found.file is not None:
                lease._require_free(found.file, found.modified)
                if found.file.pending is not None:
                    lease.settle(found.file.pending)
            lease.token = found.file.token + 1 if found.file else 1
            ends = clock() + timedelta(seconds=seconds)
            if lease.swap(found, LeaseFile(lease.token, lease.nonce, holder, seconds, ends)):
                return lease
        raise lease.unsettled("lease")

    @classmethod
    def resume(
        cls, store: Store, state: Mapping[str, object], *, trusted: Sequence[Signer], clock: Clock = utc_now
    ) -> Lease:
        """The lease that ``state()`` described, in another process. Reads nothing.

        Raises LeaseLost when the state is none, or of another target.
        """
        target, source, token, nonce, holder = (state.get(n) for n in ("target", "source", "token", "nonce", "holder"))
        if not (isinstance(source, str) and type(token) is int and isinstance(nonce, str) and isinstance(holder, str)):
            raise LeaseLost("resume", "lease", "its state is incomplete")
        if target != store.name:
            raise LeaseLost("resume", source, f"its state is not of target '{store.name}'")
        return cls(store, source, token, nonce, holder, trusted=trusted, clock=clock)

    def state(self) -> dict[str, str | int]:
        """What ``resume`` needs: JSON types, no secret."""
        texts = {"target": self.store.name, "source": self.source, "nonce": self.nonce, "holder": self.holder}
        return {**texts, "token": self.token}

    def renew(self) -> datetime:
        """The heartbeat: the lease ends its whole length from now; returns when (UTC).

        One that ran out and was taken by nobody lives again. Raises LeaseLost when it was taken or released.
        """
        for _ in range(ATTEMPTS):
            found = self.look()
            file = self.require_mine(found, "renew")
            ends = self.clock() + timedelta(seconds=file.seconds)
            if self.swap(found, replace(file, expires_at=ends)):
                return ends
        raise self.unsettled("renew")

    def release(self) -> None:
        """Gives the lease back, after finishing a commit under way. Nothing happens when it is no longer ours."""
        for _ in range(ATTEMPTS):
            found = self.finish(self.look(), "release")
            if found.file is None or not self._is_mine(found.file) or found.file.expires_at is None:
                return
            if self.swap(found, replace(found.file, holder=None, expires_at=None)):
                return
        raise self.unsettled("release")

    # --- what acquire, release and commit (writing.py) are made of -------------------------------

    def look(self) -> Found:
        """Reads the lease file; raises DocumentDamaged, FormatUnsupported."""
        try:
            data, info = self.store.get_bytes(self.key, limit=LEASE_LIMIT)
        except ObjectMissing:
            return Found(None, None, datetime.min.replace(tzinfo=UTC))
        return Found(LeaseFile.parse(data, self.key), info.tag, info.modified)

    def swap(self, found: Found, file: LeaseFile) -> bool:
        """Replaces what was found, unless the file has changed since: then False."""
        file = replace(file, change=found.file.change + 1 if found.file else 1)
        try:
            self.store.put_bytes(self.key, file.to_bytes(self.key), replacing=found.tag)
        except ObjectExists:
            return False
        return True

    def settle(self, pending: Pending) -> None:
        """Writes the record of a decided commit, if it is not there yet. Any number of times, by anybody.

        The file is not signed: what it says is checked as a record of the catalog is. Raises CatalogForged when
        it is not the next record, DocumentDamaged, SignatureInvalid, SignerUnknown, CatalogGap.
        """
        entry = parse_key(self.store.name, self.source, pending.key)
        pended = check_record(pending.record, entry, self.trusted)
        entries = list_entries(self.store, self.source)
        if entry not in entries:
            head = read_record(self.store, entries[-1], self.trusted) if entries else None
            if not follows(entries, head, pended.record):
                cause = f"the commit under way on target '{self.store.name}' does not follow the newest record"
                raise CatalogForged("commit", entry.key, cause, MOVED_HINT)
        put_record(self.store, entry, pending.record, self.trusted)

    def finish(self, found: Found, verb: str) -> Found:
        """Completes this lease's own commit under way; another's is for whoever takes the lease.

        Returns the file as it is then, without a pending commit of ours.
        """
        for _ in range(ATTEMPTS):
            if found.file is None or found.file.pending is None or not self._is_mine(found.file):
                return found
            self.settle(found.file.pending)
            self.swap(found, replace(found.file, pending=None))  # whether or not it succeeds, the file is read again
            found = self.look()
        raise self.unsettled(verb)

    def require_mine(self, found: Found, verb: str) -> LeaseFile:
        """The file, when it names this lease; raises LeaseLost."""
        where = f"on target '{self.store.name}'"
        if found.file is None:
            raise LeaseLost(verb, self.source, f"the lease file {where} is gone")
        if not self._is_mine(found.file):
            who = f"by '{found.file.holder}'" if found.file.holder else "and released"
            raise LeaseLost(verb, self.source, f"the lease of '{self.holder}' {where} ran out and was taken {who}")
        if found.file.expires_at is None:
            raise LeaseLost(verb, self.source, f"the lease of '{self.holder}' {where} was released")
        return found.file

    def require_live(self, found: Found, verb: str) -> LeaseFile:
        """The file, when this lease has not run out either; raises LeaseLost."""
        file = self.require_mine(found, verb)
        if file.free(self.clock(), found.modified) and file.expires_at is not None:
            mine = f"the lease of '{self.holder}' on target '{self.store.name}'"
            cause = f"{mine} ran out at {write_instant(file.expires_at)}"
            raise LeaseLost(verb, self.source, cause, "start the run again; a longer lease_minutes outlives pauses")
        return file

    def unsettled(self, verb: str) -> StorageUnavailable:
        """For a file that changed at each of ATTEMPTS tries."""
        return StorageUnavailable(verb, self.source, f"the lease on target '{self.store.name}' kept changing")

    def _is_mine(self, file: LeaseFile | None) -> bool:
        return file is not None and (file.token, file.nonce) == (self.token, self.nonce)

    def _require_free(self, file: LeaseFile, modified: datetime) -> None:
        if not file.free(self.clock(), modified) and file.expires_at is not None:
            cause = f"'{file.holder}' holds it on target '{self.store.name}' until {write_instant(file.expires_at)}"
            raise LeaseHeld("lease", self.source, cause, "wait until that run ends, or its lease runs out")
