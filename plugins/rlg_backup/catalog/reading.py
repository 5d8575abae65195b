"""The catalog of one source on one target: listing it, and what makes its newest point believable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches

from ..core.errors import BackupNotFound, CatalogForged, CatalogGap
from ..format.commit import CommitRecord, Witness
from ..format.signing import Signer
from .points import MOVED_HINT, RENEWED_HINT, RestorePoint, folder, list_points
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

    def points(self, *, whole: bool = True) -> list[RestorePoint]:
        """Every restore point, newest last, from names alone: nothing is read or checked yet.

        Raises CatalogGap for a hole in the sequence; with ``whole`` false holes are allowed, for whoever
        looks for one certain backup in a damaged catalog.
        """
        return list_points(self.store, self.source, whole=whole)

    def record(self, point: RestorePoint) -> CommitRecord:
        """The record of a listed point, read and checked against its place and the trusted signers.

        Raises DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown, CatalogForged, CatalogGap.
        """
        return read_record(self.store, point, self.trusted).record

    def head(self) -> Head | None:
        """The newest record, read and checked; None for a source that was never backed up here.

        Raises as ``points`` and ``record``, CatalogGap when it is older than the head seen before, and
        CatalogForged when it is another record than the one seen with its sequence.
        """
        return self._head(self.points())

    def verify_chain(self, down_to: int | None = None) -> Head | None:
        """Checks every record, from the newest down to the newest seen before, and remembers the head.

        ``down_to`` (a sequence) goes on to an older record; where nothing was seen yet, the chain is read down
        to it, or to the first. Raises as ``head``, and CatalogForged where a record is not the one that
        its successor names.
        """
        points = self.points()
        head = self._head(points)
        if head is None:
            return None
        known = self.seen.get(self.target, self.source)
        lowest = min(
            number for number in (down_to, known.sequence if known else None, len(points)) if number is not None
        )
        if down_to is None and known is None:
            lowest = 1
        self._walk(points, head, max(1, lowest), known)
        self.seen.remember(self.target, self.source, SeenHead(head.point.sequence, head.sha256))
        return head

    def latest(self, others: Iterable[Catalog] = ()) -> RestorePoint:
        """The newest point, when nothing newer can be hidden as far as this machine can tell.

        ``others`` are the catalogs of the same source on the other targets that answer; what their newest
        records witness about this one must be here. Errors of ``others`` are raised too: leave out a
        target that is down, and say so. Raises as ``verify_chain``; BackupNotFound when there is no backup.
        """
        head = self.verify_chain()
        for other in others:
            self.check_witness(other)
        if head is None:
            cause = f"source '{self.source}' has no backup on target '{self.target}'"
            raise BackupNotFound("find", "latest", cause)
        return head.point

    def check_witness(self, other: Catalog) -> None:
        """Compares this catalog with what the newest record on another target witnessed of it.

        Raises CatalogGap when this one does not reach that far, CatalogForged when it holds another record
        there, and as ``head`` for either.
        """
        beyond = other.head()
        witness = beyond.record.witnesses.get(self.target) if beyond else None
        if witness is None:
            return
        points = self.points()
        if len(points) < witness.sequence:
            raise CatalogGap(
                "verify", self._subject, self._too_short(points, witness, f"target '{other.target}'"), RENEWED_HINT
            )
        found = read_record(self.store, points[witness.sequence - 1], self.trusted)
        if found.sha256 != witness.sha256:
            cause = f"it is not the record that target '{other.target}' witnessed on target '{self.target}'"
            raise CatalogForged("verify", found.point.key, cause, RENEWED_HINT)

    def find(self, prefix: str) -> RestorePoint:
        """The one point whose backup id begins with ``prefix``, also in a catalog with holes.

        Raises BackupNotFound when there is none or more than one; its hint names the nearest ids.
        """
        points = self.points(whole=False)
        matches = [point for point in points if prefix and point.backup_id.startswith(prefix)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            cause = f"{len(matches)} backups on target '{self.target}' begin with it"
            near = [point.backup_id for point in matches[-_NEAR:]]
        else:
            cause = f"target '{self.target}' lists no such backup of source '{self.source}'"
            near = _near(prefix, [point.backup_id for point in points])
        hint = f"there is {' and '.join(near)}" if near else None
        raise BackupNotFound("find", prefix, cause, hint)

    def _head(self, points: list[RestorePoint]) -> Head | None:
        known = self.seen.get(self.target, self.source)
        if known is not None and len(points) < known.sequence:
            raise CatalogGap("read", self._subject, self._too_short(points, known, "this machine"), RENEWED_HINT)
        if not points:
            return None
        head = read_record(self.store, points[-1], self.trusted)
        if known is not None and known.sequence == head.point.sequence:
            self._compare(head, known)
        return head

    def _walk(self, points: list[RestorePoint], head: Head, lowest: int, known: SeenHead | None) -> None:
        newer = head
        for older in self._read_all(points[lowest - 1 : -1][::-1]):
            point = older.point
            if older.sha256 != newer.record.previous_sha256:
                cause = f"'{newer.point.key}' was written after another record than this one"
                raise CatalogForged("verify", point.key, cause, MOVED_HINT)
            if known is not None and known.sequence == point.sequence:
                self._compare(older, known)
            newer = older

    def _read_all(self, points: list[RestorePoint]) -> Iterator[Head]:
        """The records in the order asked for. Many are read by threads: a request to a cloud takes 30 ms."""
        if len(points) < _BATCH:
            yield from (read_record(self.store, point, self.trusted) for point in points)
            return
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(points), _BATCH):
                batch = points[start : start + _BATCH]
                yield from pool.map(lambda point: read_record(self.store, point, self.trusted), batch)

    def _compare(self, found: Head, known: SeenHead) -> None:
        if found.sha256 != known.sha256:
            cause = f"it is not the record that this machine saw before on target '{self.target}'"
            raise CatalogForged("verify", found.point.key, cause, RENEWED_HINT)

    def _too_short(self, points: list[RestorePoint], reached: SeenHead | Witness, who: str) -> str:
        newest = f"ends at record {points[-1].sequence:08d}" if points else "is empty"
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
