"""Recording a request to be forgotten: in the order that one target decides, on every target before it is answered."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from ...catalog import Ledger
from ...core.errors import BackupError, ErasureIncomplete, InvalidSetting
from ...format.erasure import ErasureEntry, Subject, Written, subject_of
from ..wiring import Wiring
from .ledger import complete, known, lock_time, remember
from .subjects import spelled

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


def record(wiring: Wiring, kind: str, text: str, reason: str) -> Recorded:
    """Records a request durably at every target, in order; idempotent by subject, also after a rotation of the key.

    The first target decides the order: what it has is recorded, and what is not on all targets yet is not answered as
    done. Raises as ``subject_for`` and ``known``; SignerUnknown for a signing key that nobody trusts, and
    ErasureIncomplete naming the targets that did not take it: then the next call finishes.
    """
    subject = subject_for(wiring, kind, text)
    same = [subject, *_under_other_keys(wiring, kind, text, subject)]
    first = wiring.ledger_targets[0]
    for _ in range(_ATTEMPTS):
        ledger = known(wiring)
        there = next((one for one in ledger.entries if _is_of(one, kind, same)), None)
        if there is not None:
            return _everywhere(wiring, ledger, there, new=False)
        signed = _entry(wiring, ledger, kind, subject, reason).sign(wiring.signing_key)
        # What readers would refuse is never written: it is read back from its bytes first.
        mine = Written.load(signed.data, wiring.trusted, path=signed.entry.path)
        failures = complete(wiring, ledger, [first])
        try:
            if failures:
                raise failures[first]
            if wiring.ledger(first).put(mine, lock_time(wiring, first)).data != mine.data:
                continue  # somebody else's request was first
        except BackupError as error:
            cause = f"nothing was recorded, since target '{first}' decides the order of requests: {_brief(error)}"
            raise ErasureIncomplete("erase", f"subject of kind {kind}", cause, "ask again once it answers") from None
        longer = {**ledger.lengths, first: mine.entry.sequence}
        passed_over = {target: error for target, error in ledger.passed_over.items() if target != first}
        ledger = replace(ledger, entries=(*ledger.entries, mine), lengths=longer, passed_over=passed_over)
        return _everywhere(wiring, ledger, mine, new=True)
    cause = f"{_ATTEMPTS} other requests came first"
    raise ErasureIncomplete("erase", f"subject of kind {kind}", cause, "ask again")


def finish(wiring: Wiring) -> Ledger:
    """Completes and mends the ledger on every target. Raises as ``known``, and ErasureIncomplete."""
    ledger = known(wiring)
    _complete(wiring, ledger, f"{len(ledger.entries)} requests")
    return ledger


def _everywhere(wiring: Wiring, ledger: Ledger, one: Written, *, new: bool) -> Recorded:
    _complete(wiring, ledger, f"request {one.entry.sequence:08d}")
    return Recorded(one.entry.sequence, one.entry.kind, one.entry.requested_at, tuple(wiring.ledger_targets), new)


def _complete(wiring: Wiring, ledger: Ledger, what: str) -> None:
    targets = wiring.ledger_targets
    failures = complete(wiring, ledger, targets)
    if failures:
        done = ", ".join(target for target in targets if target not in failures) or "no target"
        lacking = "; ".join(f"not on '{target}': {_brief(error)}" for target, error in failures.items())
        raise ErasureIncomplete("record", what, f"it is on {done}, {lacking}", _AGAIN)
    remember(wiring, replace(ledger, lengths=dict.fromkeys(targets, len(ledger.entries)), passed_over={}))


def _entry(wiring: Wiring, ledger: Ledger, kind: str, subject: Subject, reason: str) -> ErasureEntry:
    return ErasureEntry(
        sequence=len(ledger.entries) + 1,
        previous_sha256=ledger.head.head,
        requested_at=wiring.clock(),
        kind=kind,
        key=subject.key,
        subject=subject.sha256,
        reason=reason,
    )


def _under_other_keys(wiring: Wiring, kind: str, text: str, subject: Subject) -> list[Subject]:
    """The same subject as earlier entries may name it; of a hash nothing else is known."""
    if subject == Subject.parse(text.strip()):
        return []
    return [subject_of(key, kind, spelled(wiring, kind, text)) for key in wiring.erasure_keys[1:]]


def _is_of(one: Written, kind: str, subjects: list[Subject]) -> bool:
    return one.entry.kind == kind and Subject(one.entry.key, one.entry.subject) in subjects


def _brief(error: BackupError) -> str:
    return str(error).partition("\nhint: ")[0]
