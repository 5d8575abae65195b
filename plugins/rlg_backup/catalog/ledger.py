"""The erasure ledger as all targets together have it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..core.beside import at_once
from ..core.errors import BackupError, LedgerForged, LedgerShort
from ..format.commit import Erasures
from ..format.erasure import FOLDER, Written, path_of
from .erasures import TAMPERED_HINT, LedgerCopy
from .seen import SeenHead


@dataclass(frozen=True)
class Ledger:
    """``lengths``: of each sound copy; ``passed_over``: targets whose copy could not be read or believed, and why;
    ``without``: numbers of entries that were set aside, which are not among ``entries``."""

    entries: tuple[Written, ...]
    lengths: Mapping[str, int] = field(default_factory=dict)
    passed_over: Mapping[str, BackupError] = field(default_factory=dict)
    without: Collection[int] = ()

    @property
    def length(self) -> int:
        """The number of the last entry."""
        return _length(self.entries)

    @property
    def head(self) -> Erasures:
        """What a commit record says of it."""
        return Erasures(length=self.length, head=self.entries[-1].sha256 if self.entries else None)

    def require(self, known: Erasures | SeenHead, who: str) -> None:
        """Raises LedgerShort when the ledger does not reach what ``who`` knows of it, LedgerForged when it holds
        another entry there. What was set aside may be gone, or another."""
        length, sha256 = (known.length, known.head) if isinstance(known, Erasures) else (known.sequence, known.sha256)
        reached = next((number for number in range(length, 0, -1) if number not in self.without), 0)
        if self.length < reached:
            cause = f"it has {self.length} entries on every target that can be read, but {who} knows {length}"
            raise LedgerShort("verify", FOLDER[:-1], f"{cause}: a request to erase is hidden", TAMPERED_HINT)
        place = bisect_left(self.entries, length, key=lambda one: one.entry.sequence)
        if 0 < reached == length and self.entries[place].sha256 != sha256:
            raise LedgerForged("verify", path_of(length), f"it is not the entry that {who} knows", TAMPERED_HINT)


def merged(
    targets: Iterable[str], open: Callable[[str], LedgerCopy], without: Collection[int] = (), *, whole: bool = True
) -> Ledger:
    """The longest sound copy, of which every other sound one must be the beginning. Copies are opened ``without`` the
    same entries. Unless ``whole`` that one alone is read, and of the others the last entry, which stands for those
    before it: nothing can be hidden by it, but what is damaged in the middle is not noticed.

    A copy that is damaged, has a hole or cannot be reached is passed over. Raises LedgerForged where two sound copies
    differ, LedgerShort where the names of one that was passed over reach further than every sound one, and the first
    copy's error when there is no sound one.
    """
    copies = {target: open(target) for target in targets}
    passed_over: dict[str, BackupError] = {}
    sound = _read(copies, LedgerCopy.read if whole else LedgerCopy.end, passed_over)
    longest = _longest(copies, sound, passed_over, whole=whole)
    if longest is None:
        raise next(passed_over[target] for target in copies if target in passed_over)
    wanted = {one.entry.sequence: one.data for one in sound[longest]}
    for target, entries in list(sound.items()):
        if any(wanted[one.entry.sequence] != one.data for one in entries):
            if not _read({target: copies[target]}, LedgerCopy.read, passed_over):  # damaged ahead of its end
                del sound[target]
                continue
            cause = f"targets '{target}' and '{longest}' hold different entries of one number"
            raise LedgerForged("verify", FOLDER[:-1], cause, TAMPERED_HINT)
    for target, fault in passed_over.items():
        _require_reached(copies[target], _length(sound[longest]), fault)
    lengths = {target: _length(sound[target]) for target in copies if target in sound}
    return Ledger(tuple(sound[longest]), lengths, passed_over, without)


def _read(
    copies: Mapping[str, LedgerCopy],
    how: Callable[[LedgerCopy], list[Written]],
    passed_over: dict[str, BackupError],
) -> dict[str, list[Written]]:
    """What each copy gives, all at the same time; whatever is wrong with one, another tells what it said."""
    found = at_once(copies, lambda target: how(copies[target]))
    passed_over |= {target: one for target, one in found.items() if isinstance(one, BackupError)}
    return {target: one for target, one in found.items() if not isinstance(one, BackupError)}


def _longest(
    copies: Mapping[str, LedgerCopy],
    sound: dict[str, list[Written]],
    passed_over: dict[str, BackupError],
    *,
    whole: bool,
) -> str | None:
    """The target with the longest copy, which is read whole; the next one where that shows that it is not sound."""
    while sound:
        longest = max(sound, key=lambda target: _length(sound[target]))
        if whole or not sound[longest]:
            return longest
        if read := _read({longest: copies[longest]}, LedgerCopy.read, passed_over):
            sound |= read
            return longest
        del sound[longest]
    return None


def _length(entries: Sequence[Written]) -> int:
    return entries[-1].entry.sequence if entries else 0


def _require_reached(copy: LedgerCopy, length: int, error: BackupError) -> None:
    """Raises LedgerShort where a copy that was not believed names more entries than the others have: a sound copy that
    is short or empty outvotes none that is only damaged; that one's own error where it may pass. Of a target that does
    not answer nothing is known."""
    try:
        reach = copy.reach()
    except BackupError:
        return
    if reach > length:
        cause = (
            f"it has {length} entries on every target that can be read, but target '{copy.store.name}' names {reach}"
        )
        if error.transient:  # it may well be read in a moment
            raise error
        cause = f"{cause} ({error.cause}): a request to erase is hidden"
        raise LedgerShort("verify", FOLDER[:-1], cause, TAMPERED_HINT)
