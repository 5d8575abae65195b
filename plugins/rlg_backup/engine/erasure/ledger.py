"""The erasure ledger over all targets: read and believed, completed where one lacks entries, witnessed by commits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from ...catalog import Catalog, Ledger, LedgerCopy, SeenHead, backups_of, merged, newest_records
from ...catalog.writing import NO_ERASURES
from ...core.beside import at_once
from ...core.errors import BackupError, KeyUnavailable, LedgerForged, LedgerShort
from ...core.model import Kind
from ...format.commit import CommitRecord, Erasures
from ...format.erasure import FOLDER, Written
from ...storage.port import ObjectInfo
from ..warnings import ledger_fault
from ..wiring import Wiring

log = logging.getLogger(__name__)

T = TypeVar("T")

_THREADS = 8
_EVERY = "*"  # stands for all targets together among the heads that this machine has seen


def known(wiring: Wiring, aside: Collection[int] = (), *, whole: bool = False) -> Ledger:
    """The ledger, when it holds all that this machine has seen of it and that the newest backups say of it; without the
    requests that are set ``aside``, which then may be anything. ``whole``: each copy is read to its first entry.

    Raises LedgerShort (COULD-NOT-VERIFY) where it does not, or where targets could not be read and no other has an
    entry; LedgerForged where copies contradict each other or what was seen, and what is wrong with a copy where no
    target has a sound one.
    """
    witnesses = _witnesses(wiring)  # before the ledger, which others may lengthen meanwhile
    ledger = merged(wiring.ledger_targets, lambda target: wiring.ledger(target, aside), aside, whole=whole)
    for who, reached in witnesses:
        ledger.require(reached, who)
    _require_asked(wiring, ledger)
    if not aside:
        remember(wiring, ledger)
    return ledger


def is_as_known(wiring: Wiring, head: Erasures, aside: Collection[int]) -> bool:
    """Whether every copy that answers still ends where the ledger did, and one does at least."""
    ends = _on_each(wiring, wiring.ledger_targets, lambda target: wiring.ledger(target, aside).end())
    read = [end for end in ends.values() if not isinstance(end, BackupError)]
    last = [end[-1] for end in read if end]
    return bool(read) and all(
        one.entry.sequence < head.length or (one.entry.sequence == head.length and one.sha256 == head.head)
        for one in last
    )


def remember(wiring: Wiring, ledger: Ledger) -> None:
    """Notes the ledger as far as every target has it, and as it is known here: what only some got was not answered as
    done, and may be lost with them without keeping everybody from their backups."""
    length = 0 if ledger.passed_over else min(ledger.lengths.values())
    last = next((one for one in reversed(ledger.entries[:length]) if _is_known(wiring, one)), None)
    if last is not None:
        wiring.seen.remember(_EVERY, FOLDER, SeenHead(last.entry.sequence, last.sha256))


def complete(wiring: Wiring, ledger: Ledger, targets: Sequence[str]) -> dict[str, BackupError]:
    """Puts on each of the targets what it lacks of the ledger, and mends what was damaged there. Idempotent.
    Returns, by target, why it could not be done."""

    def done(target: str) -> None:
        _extend(wiring, wiring.ledger(target), ledger.entries[ledger.lengths.get(target, 0) :])
        if target in ledger.passed_over:
            wiring.ledger(target).read()

    found = _on_each(wiring, targets, done)  # what one fails of keeps the others from nothing, and is said
    return {target: error for target, error in found.items() if isinstance(error, BackupError)}


def mend(wiring: Wiring, targets: Sequence[str]) -> dict[str, BackupError]:
    """``complete`` with what all targets together have; why it could not be done, by target."""
    try:
        return complete(wiring, known(wiring, whole=True), targets)
    except BackupError as error:
        return dict.fromkeys(targets, error)


def at_commit(wiring: Wiring, source: str, target: str) -> tuple[Erasures, str | None]:
    """The ledger's length and head on a target, which gets before what it lacks of it: what a commit record there says.
    And a warning where something is wrong with it.

    Never less than the newest commit record there says, so that no backup hides that the ledger was shortened: a
    restore is refused. A backup does not stop for it. It vouches for no entry at the end that nobody here knows (a kind
    that is not configured, an erasure key that is not here where one is): whoever stole a signing key can write these.
    """
    before = _newest(wiring.catalog(target, source)) or NO_ERASURES
    try:
        copy = wiring.ledger(target)
        _catch_up(wiring, copy)
        length = max(before.length, copy.length())
        entries = copy.read(max(1, before.length), length) if length else []
        if before.length and entries[0].sha256 != before.head:
            cause = "it is not the entry that the newest backup there knows"
            raise LedgerForged("verify", entries[0].entry.path, cause)
        vouched = next((one for one in reversed(entries) if _is_known(wiring, one)), None)
    except BackupError as error:
        log.error("the erasure ledger on target '%s': %s", target, error)
        return before, ledger_fault(target, error.text)
    found = Erasures(length=vouched.entry.sequence, head=vouched.sha256) if vouched else before
    strange = entries[-1].entry.sequence - found.length if entries else 0
    why = f"its last {strange} entries are of a kind or under an erasure key that is not known here"
    return found, ledger_fault(target, why) if strange else None


def _is_known(wiring: Wiring, one: Written) -> bool:
    """Whether an entry is of a kind that is configured, and under an erasure key that is here, where one is."""
    if one.entry.kind not in wiring.settings.erasure.subjects:
        return False
    try:
        return one.entry.key in {key.key_id for key in wiring.erasure_keys}
    except KeyUnavailable:  # most backup workers hold none
        return True


def lock_time(wiring: Wiring, target: str, made: datetime | None = None) -> datetime | None:
    """Until when an entry that was ``made`` then (else: now) is locked on a target that locks: while any backup there
    is kept that was made before it."""
    if wiring.settings.targets[target].lock == "none":
        return None
    return max(_kept(wiring, source, target, made or wiring.clock()) for source in _sources(wiring, target))


def lock_entries(wiring: Wiring, source: str, target: str, held: datetime | None) -> None:
    """Locks every entry on a target for as long as the rules of now keep what was made before it, and until ``held``
    where a backup of the source is. Of several sources the one that keeps longest does it, and each that holds one.
    Idempotent: a lock only ever becomes longer. Nothing where no locks are wanted; raises StorageError."""
    if wiring.settings.targets[target].lock == "none":
        return
    now = wiring.clock()
    if held is None and source != max(_sources(wiring, target), key=lambda one: _kept(wiring, one, target, now)):
        return
    storage = wiring.storage(target)

    def lock(info: ObjectInfo) -> None:
        storage.lock(info.key, max(filter(None, (lock_time(wiring, target, info.modified), held))))

    with ThreadPoolExecutor(_THREADS) as pool:  # a request to a cloud takes 30 ms
        list(pool.map(lock, storage.list(FOLDER)))


def _sources(wiring: Wiring, target: str) -> list[str]:
    return [name for name, source in wiring.settings.sources.items() if target in source.targets]


def _kept(wiring: Wiring, source: str, target: str, made: datetime) -> datetime:
    """Until when a backup of that time is kept at most."""
    rules = wiring.settings.retention.rules(source, target)
    ages = [*(rules.age(kind) for kind in Kind), *([rules.archive.keep] if rules.archive else [])]
    return max(age.after(made) for age in ages)


def _require_asked(wiring: Wiring, ledger: Ledger) -> None:
    """Raises LedgerShort where people may ask to be erased, no target that was read knows of any, and one was not
    read: an empty copy looks like one that was lost."""
    if ledger.passed_over and not ledger.entries and wiring.settings.erasure.subjects:
        target, error = next(iter(ledger.passed_over.items()))
        cause = f"no target that can be read has an entry, and target '{target}' was not read ({error.cause})"
        hint = f"mend '{target}'; where it is lost for good, take it out of 'targets'"
        raise LedgerShort("verify", FOLDER[:-1], f"{cause}: a request to erase may be hidden", hint)


def _extend(wiring: Wiring, copy: LedgerCopy, entries: Sequence[Written]) -> None:
    until = lock_time(wiring, copy.store.name) if entries else None
    for one in entries:
        if copy.put(one, until).data != one.data:
            cause = f"target '{copy.store.name}' holds another entry of that number than the other targets"
            raise LedgerForged("complete", one.entry.path, cause)


def _catch_up(wiring: Wiring, copy: LedgerCopy) -> None:
    """Takes over what another target has more of; one that cannot be read has nothing to give."""
    for other in wiring.ledger_targets:
        if other == copy.store.name:
            continue
        with suppress(BackupError):
            length, theirs = copy.length(), wiring.ledger(other)
            more = theirs.read(max(1, length), theirs.length())
            if length and more and more[0].data != copy.read(length, length)[0].data:
                continue
            _extend(wiring, copy, more[1 if length else 0 :])


def _witnesses(wiring: Wiring) -> list[tuple[str, Erasures | SeenHead]]:
    """How far this machine has seen the ledger, and what the newest backup of each source on each target that answers
    says of it. All targets are asked at the same time; one that does not answer once is asked no more."""

    trusted, seen = wiring.trusted, wiring.seen

    def of(target: str) -> list[CommitRecord]:
        sources = [name for name, source in wiring.settings.sources.items() if target in source.targets]
        return list(newest_records(wiring.storage(target), sources, trusted=trusted, seen=seen))

    found = _on_each(wiring, wiring.ledger_targets, of).values()
    records = [one for told in found if not isinstance(told, BackupError) for one in told]
    mine = seen.get(_EVERY, FOLDER)
    told = [(f"the newest backup of '{one.source}' on target '{one.target}'", one.erasures) for one in records]
    return [*([("this machine", mine)] if mine else []), *told]


def _on_each(wiring: Wiring, targets: Sequence[str], what: Callable[[str], T]) -> dict[str, T | BackupError]:
    """What comes of each target, or what went wrong there, all at the same time."""
    for target in targets:
        with suppress(BackupError):  # told by what needs it
            wiring.storage(target)  # made in this thread: Airflow gives connections to no other
    return at_once(targets, what)


def _newest(catalog: Catalog) -> Erasures | None:
    points = backups_of(catalog.entries(whole=False))
    return catalog.record(points[-1]).erasures if points else None
