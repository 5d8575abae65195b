"""Recording requests to be forgotten: in the order that one target decides, on each before they are answered."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from ...catalog import Ledger
from ...core.errors import BackupError, ErasureIncomplete, InvalidSetting
from ...format.erasure import ErasureEntry, Subject, Written, subject_of, subjects_of
from ..wiring import Wiring
from .aside import numbers_told
from .ledger import complete, known, lock_time, remember
from .subjects import spelled
from .trial import require_fitting

log = logging.getLogger(__name__)

_ATTEMPTS = 20  # requests that others record while this one is at it
_AGAIN = "ask again, or 'rlg-backup erase --complete', once it answers"


@dataclass(frozen=True)
class Recorded:
    """A request that is on every target. ``new``: this call recorded it, no earlier one."""

    sequence: int
    kind: str
    requested_at: datetime
    targets: tuple[str, ...]
    new: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"requested_at": f"{self.requested_at:%Y-%m-%dT%H:%M:%SZ}"}


def subject_for(wiring: Wiring, kind: str, text: str) -> Subject:
    """Who is meant: a subject's key, or the hash of one as ``Subject.text`` writes it.

    Raises KeyUnavailable, and InvalidSetting for a kind that is not configured, a hash under a key that is not here or
    a key that no row can have; no error shows ``text``.
    """
    require_kind(wiring, kind)
    given = Subject.parse(text.strip())
    if given is None:
        return subject_of(wiring.erasure_keys[0], kind, spelled(wiring, kind, text))
    if all(key.key_id != given.key for key in wiring.erasure_keys):
        raise InvalidSetting("erase", "subject", f"it is hashed under the erasure key {given.key}, which is not here")
    return given


def require_kind(wiring: Wiring, kind: str) -> None:
    """Raises InvalidSetting for a kind of subject that the configuration does not have."""
    kinds = wiring.settings.erasure.subjects
    if kind not in kinds:
        hint = f"there are: {', '.join(sorted(kinds))}" if kinds else "docs/configuration.md shows 'erasure'"
        raise InvalidSetting("erase", kind, "'erasure.subjects' has no such kind", hint)


def record(wiring: Wiring, kind: str, texts: Sequence[str], reason: str) -> list[Recorded]:
    """Records requests durably at every target, in order; idempotent by subject, also after a rotation of the key.

    The first target decides the order: what it has is recorded, and what is not on all targets yet is not answered as
    done. Raises as ``subject_for`` for any of them and as ``known`` before one is recorded; SignerUnknown for a signing
    key that nobody trusts, ErasureUndecided for new ones whose rules do not fit the newest backups, as far as these can
    be read here, and ErasureIncomplete naming the targets that did not take them: the next call finishes.
    """
    asked = [_same(wiring, kind, text) for text in texts]
    recording = _Recording(wiring, kind, reason, known(wiring))
    if any(recording.entry_of(same) is None for same in asked):
        for source, why in require_fitting(wiring, kind).items():
            log.info("the rules of '%s' were not tried on a backup of '%s': %s", kind, source, why)
    found = [recording.add(same) for same in asked]
    _complete(wiring, recording.ledger, _named([one.entry.sequence for one, _ in found]))
    targets = tuple(wiring.ledger_targets)
    return [Recorded(one.entry.sequence, kind, one.entry.requested_at, targets, new) for one, new in found]


@dataclass
class _Recording:
    """Requests of one call, each behind the one before; ``ledger`` is as the first target has it."""

    wiring: Wiring
    kind: str
    reason: str
    ledger: Ledger

    def __post_init__(self) -> None:
        self._first = self.wiring.ledger_targets[0]
        self._is_ready = False  # whether the first target has all of the ledger
        self._new = 0
        self._by_subject = self._indexed(self.ledger.entries)

    def entry_of(self, same: Sequence[Subject]) -> Written | None:
        """The request of a subject, if there is one."""
        return next((one for subject in same if (one := self._by_subject.get(subject))), None)

    def add(self, same: Sequence[Subject]) -> tuple[Written, bool]:
        """The entry of a subject, by whichever of its hashes, and whether it is new."""
        for _ in range(_ATTEMPTS):
            if (there := self.entry_of(same)) is not None:
                return there, False
            signed = self._entry(same[0]).sign(self.wiring.signing_key)
            # What readers would refuse is never written: it is read back from its bytes first.
            mine = Written.load(signed.data, self.wiring.trusted, path=signed.entry.path)
            if self._is_put(mine):
                self._append(mine)
                return mine, True
            self._take(known(self.wiring))  # somebody else's request was first
        cause = f"{_ATTEMPTS} other requests came first"
        raise ErasureIncomplete("erase", f"subject of kind {self.kind}", cause, "ask again")

    def _is_put(self, mine: Written) -> bool:
        try:
            if not self._is_ready:
                failures = complete(self.wiring, self.ledger, [self._first])
                if failures:
                    raise failures[self._first]
                self._is_ready = True
            copy = self.wiring.ledger(self._first)
            return copy.put(mine, lock_time(self.wiring, self._first)).data == mine.data
        except BackupError as error:
            done = f"{self._new} of the requests were recorded and no more" if self._new else "nothing was recorded"
            cause = f"{done}, since target '{self._first}' decides the order of requests: {error.text}"
            hint = "ask again once it answers"
            raise ErasureIncomplete("erase", f"subject of kind {self.kind}", cause, hint) from None

    def _append(self, mine: Written) -> None:
        longer = {**self.ledger.lengths, self._first: mine.entry.sequence}
        passed_over = {target: error for target, error in self.ledger.passed_over.items() if target != self._first}
        entries = (*self.ledger.entries, mine)
        self.ledger = replace(self.ledger, entries=entries, lengths=longer, passed_over=passed_over)
        self._by_subject |= self._indexed([mine])
        self._new += 1

    def _take(self, ledger: Ledger) -> None:
        self.ledger, self._is_ready, self._by_subject = ledger, False, self._indexed(ledger.entries)

    def _indexed(self, entries: Iterable[Written]) -> dict[Subject, Written]:
        """Those of the kind, by subject: of several the first."""
        mine = [one for one in entries if one.entry.kind == self.kind]
        return {Subject(one.entry.key, one.entry.subject): one for one in reversed(mine)}

    def _entry(self, subject: Subject) -> ErasureEntry:
        return ErasureEntry(
            sequence=self.ledger.length + 1,
            previous_sha256=self.ledger.head.head,
            requested_at=self.wiring.clock(),
            kind=self.kind,
            key=subject.key,
            subject=subject.sha256,
            reason=self.reason,
        )


def finish(wiring: Wiring) -> Ledger:
    """Completes and mends the ledger on every target. Raises as ``known``, and ErasureIncomplete."""
    ledger = known(wiring, whole=True)
    _complete(wiring, ledger, f"{len(ledger.entries)} requests")
    return ledger


def _complete(wiring: Wiring, ledger: Ledger, what: str) -> None:
    targets = wiring.ledger_targets
    failures = complete(wiring, ledger, targets)
    if failures:
        done = ", ".join(target for target in targets if target not in failures) or "no target"
        lacking = "; ".join(f"not on '{target}': {error.text}" for target, error in failures.items())
        raise ErasureIncomplete("record", what, f"it is on {done}, {lacking}", _AGAIN)
    remember(wiring, replace(ledger, lengths=dict.fromkeys(targets, len(ledger.entries)), passed_over={}))


def _same(wiring: Wiring, kind: str, text: str) -> list[Subject]:
    """A subject as it is recorded now, then as earlier entries may name it; of a hash nothing else is known."""
    subject = subject_for(wiring, kind, text)
    if subject == Subject.parse(text.strip()):
        return [subject]
    return [one for key in wiring.erasure_keys for one in subjects_of(key, kind, spelled(wiring, kind, text))]


def _named(numbers: Collection[int]) -> str:
    """What requests are called in an error."""
    if len(numbers) == 1:
        return f"request {next(iter(numbers)):08d}"
    return f"requests {numbers_told(numbers)}"
