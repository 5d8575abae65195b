"""The erasure ledger as all targets together have it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

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
        return self.entries[-1].entry.sequence if self.entries else 0

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
        if reached == length and any(one.entry.sequence == length and one.sha256 != sha256 for one in self.entries):
            raise LedgerForged("verify", path_of(length), f"it is not the entry that {who} knows", TAMPERED_HINT)


def merged(targets: Iterable[str], open: Callable[[str], LedgerCopy], without: Collection[int] = ()) -> Ledger:
    """The longest sound copy, of which every other sound one must be the beginning. Copies are opened ``without`` the
    same entries.

    A copy that is damaged, has a hole or cannot be reached is passed over. Raises LedgerForged where two sound copies
    differ, LedgerShort where the names of one that was passed over reach further than every sound one, and the first
    copy's error when there is no sound one.
    """
    sound: dict[str, list[Written]] = {}
    passed_over: dict[str, BackupError] = {}
    for target in targets:
        try:
            sound[target] = open(target).read()
        except BackupError as error:  # whatever is wrong with one copy, another tells what it said
            passed_over[target] = error
    if not sound:
        raise next(iter(passed_over.values()))
    lengths = {target: entries[-1].entry.sequence if entries else 0 for target, entries in sound.items()}
    longest = max(lengths, key=lengths.__getitem__)
    wanted = {one.entry.sequence: one.data for one in sound[longest]}
    for target, entries in sound.items():
        if any(wanted[one.entry.sequence] != one.data for one in entries):
            cause = f"targets '{target}' and '{longest}' hold different entries of one number"
            raise LedgerForged("verify", FOLDER[:-1], cause, TAMPERED_HINT)
    for target, fault in passed_over.items():
        _require_reached(open(target), lengths[longest], fault)
    return Ledger(tuple(sound[longest]), lengths, passed_over, without)


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
