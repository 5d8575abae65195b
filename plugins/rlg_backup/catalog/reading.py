"""The catalog of one source on one target: listing it, and what makes its newest point believable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches

from ..core.errors import BackupExpired, BackupNotFound, CatalogError, CatalogForged, CatalogGap, DamageError
from ..format.chained import Witness
from ..format.commit import CommitRecord
from ..format.retention import NOTHING, Event, RetentionRecord, State
from ..format.signing import Signer
from .points import MOVED_HINT, RENEWED_HINT, Entry, RestorePoint, RetentionEntry, backups_of, folder, list_entries
from .records import Head, read_record
from .seen import SeenHead, SeenHeads
from .store import Store

_NEAR = 3  # ids that a hint offers
_BATCH, _THREADS = 64, 8  # records that are read ahead of the check, and by how many


class Catalog:
    """Reads the catalog of ``source`` on the target ``store``; never writes there.

    ``trusted`` are the signers whose records count; ``seen`` remembers the newest head outside the target.
    Every method may raise StorageError's subclasses, and CatalogForged for names that contradict each other.
    """

    def __init__(self, store: Store, source: str, *, trusted: Sequence[Signer], seen: SeenHeads) -> None:
        self.store = store
        self.source = source
        self.trusted = trusted
        self.seen = seen
        self._subject = folder(source)[:-1]

    @property
    def target(self) -> str:
        """The target's configured name."""
        return self.store.name

    def entries(self, *, whole: bool = True) -> list[Entry]:
        """Every record, newest last, from names alone: nothing is read or checked yet.

        Raises CatalogGap for a hole in the sequence; with ``whole`` false holes are allowed, for whoever
        looks for one certain backup in a damaged catalog.
        """
        known = self.seen.get(self.target, self.source)
        return list_entries(self.store, self.source, whole=whole, expected=known.sequence if known else 0)

    def points(self) -> list[RestorePoint]:
        """Every restore point that there is, newest last: what was committed, but for what expired and was, or is
        being, removed. Raises as ``entries`` and ``state``."""
        entries = self.entries()
        state = self.state(entries)
        return [point for point in backups_of(entries) if not state.gone(point.sequence)]

    def offered(self) -> list[RestorePoint]:
        """``points`` without those marked to be removed: what ``latest`` is among, and what can be gone on from."""
        entries = self.entries()
        state = self.state(entries)
        marked = state.marked()
        points = backups_of(entries)
        return [point for point in points if not state.gone(point.sequence) and point.backup_id not in marked]

    def state(self, entries: Sequence[Entry] | None = None) -> State:
        """How backups are held, marked and removed, as the newest record about that tells; none is no restriction.

        ``entries`` are those listed before. Raises as ``record``.
        """
        given = self.entries() if entries is None else entries
        newest = next((entry for entry in reversed(given) if isinstance(entry, RetentionEntry)), None)
        return self.retention(newest).state if newest else NOTHING

    def retention(self, entry: RetentionEntry) -> RetentionRecord:
        """The record of a listed decision, read and checked; raises as ``record``."""
        record = read_record(self.store, entry, self.trusted).record
        assert isinstance(record, RetentionRecord)
        return record

    def events(self) -> Iterator[Event]:
        """All that was ever decided here, oldest first. Raises as ``entries`` and ``record``."""
        for found in self._read_all([entry for entry in self.entries() if isinstance(entry, RetentionEntry)]):
            assert isinstance(found.record, RetentionRecord)
            yield from found.record.events

    def record(self, point: RestorePoint) -> CommitRecord:
        """The record of a listed point, read and checked against its place and the trusted signers.

        Raises DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown, CatalogForged, CatalogGap.
        """
        record = read_record(self.store, point, self.trusted).record
        assert isinstance(record, CommitRecord)
        return record

    def head(self) -> Head | None:
        """The newest record, read and checked; None for a source that was never backed up here.

        Raises as ``entries`` and ``record``, CatalogGap when it is older than the head seen before, and
        CatalogForged when it is another record than the one seen with its sequence.
        """
        return self._head(self.entries())

    def verify_chain(self, down_to: int | None = None) -> Head | None:
        """Checks every record, from the newest down to the newest seen before, and remembers the head.

        ``down_to`` (a sequence) goes on to an older record; where nothing was seen yet, the chain is read down
        to it, or to the first. Raises as ``head``, and CatalogForged where a record is not the one that
        its successor names.
        """
        entries = self.entries()
        head = self._head(entries)
        if head is None:
            return None
        known = self.seen.get(self.target, self.source)
        lowest = min(
            number for number in (down_to, known.sequence if known else None, len(entries)) if number is not None
        )
        if down_to is None and known is None:
            lowest = 1
        self._walk(entries, head, max(1, lowest), known)
        self.seen.remember(self.target, self.source, SeenHead(head.entry.sequence, head.sha256))
        return head

    def latest(self, others: Iterable[Catalog] = ()) -> RestorePoint:
        """The newest point that is offered, when nothing newer can be hidden as far as this machine can tell.

        ``others`` are the catalogs of the same source on the other targets that answer; what their newest
        records witness about this one must be here. Errors of ``others`` are raised too: leave out a
        target that is down, and say so. Raises as ``verify_chain``; BackupNotFound when there is no backup.
        """
        self.verify_chain()
        for other in others:
            self.check_witness(other)
        offered = self.offered()
        if not offered:
            cause = f"source '{self.source}' has no backup on target '{self.target}'"
            raise BackupNotFound("find", "latest", cause)
        return offered[-1]

    def check_witness(self, other: Catalog) -> None:
        """Compares this catalog with what the newest record on another target witnessed of it.

        Raises CatalogGap when this one does not reach that far, CatalogForged when it holds another record
        there, and as ``head`` for either.
        """
        beyond = other.head()
        witness = beyond.record.witnesses.get(self.target) if beyond else None
        if witness is None:
            return
        entries = self.entries()
        if len(entries) < witness.sequence:
            raise CatalogGap(
                "verify", self._subject, self._too_short(entries, witness, f"target '{other.target}'"), RENEWED_HINT
            )
        found = read_record(self.store, entries[witness.sequence - 1], self.trusted)
        if found.sha256 != witness.sha256:
            cause = f"it is not the record that target '{other.target}' witnessed on target '{self.target}'"
            raise CatalogForged("verify", found.entry.key, cause, RENEWED_HINT)

    def find(self, prefix: str) -> RestorePoint:
        """The one point whose backup id begins with ``prefix``, marked or not, also in a catalog with holes.

        Raises BackupExpired for one that was removed on purpose, and BackupNotFound when there is none or more than
        one; its hint names the nearest ids.
        """
        entries = self.entries(whole=False)
        committed, gone = backups_of(entries), self._gone(entries)
        points = [point for point in committed if point.sequence not in gone]
        matches = [point for point in points if prefix and point.backup_id.startswith(prefix)]
        if len(matches) == 1:
            return matches[0]
        expired = [point for point in committed if prefix and point.backup_id.startswith(prefix)]
        if not matches and len(expired) == 1:
            cause = f"it expired and was removed from target '{self.target}'"
            raise BackupExpired("find", expired[0].backup_id, cause, "'rlg-backup list' shows what there is")
        if matches:
            cause = f"{len(matches)} backups on target '{self.target}' begin with it"
            near = [point.backup_id for point in matches[-_NEAR:]]
        else:
            cause = f"target '{self.target}' lists no such backup of source '{self.source}'"
            near = _near(prefix, [point.backup_id for point in points])
        hint = f"there is {' and '.join(near)}" if near else None
        raise BackupNotFound("find", prefix, cause, hint)

    def _gone(self, entries: Sequence[Entry]) -> set[int]:
        """Sequences of what was removed. Where the newest decision cannot be read, each backup is to tell itself."""
        try:
            state = self.state(entries)
        except (DamageError, CatalogError):
            return set()
        return {entry.sequence for entry in entries if state.gone(entry.sequence)}

    def _head(self, entries: list[Entry]) -> Head | None:
        known = self.seen.get(self.target, self.source)
        if known is not None and len(entries) < known.sequence:
            raise CatalogGap("read", self._subject, self._too_short(entries, known, "this machine"), RENEWED_HINT)
        if not entries:
            return None
        head = read_record(self.store, entries[-1], self.trusted)
        if known is not None and known.sequence == head.entry.sequence:
            self._compare(head, known)
        return head

    def _walk(self, entries: list[Entry], head: Head, lowest: int, known: SeenHead | None) -> None:
        newer = head
        for older in self._read_all(entries[lowest - 1 : -1][::-1]):
            entry = older.entry
            if older.sha256 != newer.record.previous_sha256:
                cause = f"'{newer.entry.key}' was written after another record than this one"
                raise CatalogForged("verify", entry.key, cause, MOVED_HINT)
            if known is not None and known.sequence == entry.sequence:
                self._compare(older, known)
            newer = older

    def _read_all(self, entries: Sequence[Entry]) -> Iterator[Head]:
        """The records in the order asked for. Many are read by threads: a request to a cloud takes 30 ms."""
        if len(entries) < _BATCH:
            yield from (read_record(self.store, entry, self.trusted) for entry in entries)
            return
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(entries), _BATCH):
                batch = entries[start : start + _BATCH]
                yield from pool.map(lambda entry: read_record(self.store, entry, self.trusted), batch)

    def _compare(self, found: Head, known: SeenHead) -> None:
        if found.sha256 != known.sha256:
            cause = f"it is not the record that this machine saw before on target '{self.target}'"
            raise CatalogForged("verify", found.entry.key, cause, RENEWED_HINT)

    def _too_short(self, entries: list[Entry], reached: SeenHead | Witness, who: str) -> str:
        newest = f"ends at record {entries[-1].sequence:08d}" if entries else "is empty"
        return (
            f"it {newest} on target '{self.target}', but {who} saw record {reached.sequence:08d}: "
            "a backup is hidden, or the target was rolled back"
        )


def _near(prefix: str, ids: list[str]) -> list[str]:
    # By the date first: comparing 10,000 ids in full takes longer than listing them.
    for length in (11, 8, 6):
        same = [backup_id for backup_id in ids if prefix[:length] and backup_id.startswith(prefix[:length])]
        if same:
            return get_close_matches(prefix, same[-200:], _NEAR, cutoff=0.5) or same[-1:]
    return ids[-1:]
