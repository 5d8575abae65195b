"""Erasure: requests to be forgotten, on record at every target, and replayed in every restore."""

from .aside import NOTHING_ASIDE, SetAside
from .counts import Erased, ErasedRows, less, less_erased, told
from .files import TREE, TreeErasing
from .ledger import at_commit, known, mend
from .replay import Replay, replay_for
from .requests import Recorded, finish, record, subject_for
from .rows import TableErasing

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
    "at_commit",
    "finish",
    "known",
    "less",
    "less_erased",
    "mend",
    "record",
    "replay_for",
    "subject_for",
    "told",
]
