"""Erasure: requests to be forgotten, on record at every target, and replayed in every restore."""

from .aside import NOTHING_ASIDE, SetAside
from .counts import TREE, Erased, ErasedRows, less, told
from .files import TreeErasing
from .ledger import at_commit, known, lock_entries, mend
from .replay import Replay, replay_for
from .requests import Recorded, finish, record, subject_for
from .rows import TableErasing
from .trial import Trial, require_fitting, try_out
from .unplaced import to_compare

__all__ = [
    "NOTHING_ASIDE",
    "TREE",
    "Erased",
    "ErasedRows",
    "Recorded",
    "Replay",
    "SetAside",
    "TableErasing",
    "TreeErasing",
    "Trial",
    "at_commit",
    "finish",
    "known",
    "less",
    "lock_entries",
    "mend",
    "record",
    "replay_for",
    "require_fitting",
    "subject_for",
    "to_compare",
    "told",
    "try_out",
]
