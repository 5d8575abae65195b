"""Restore points of a source on a target: listed from names, believed by signatures, committed
and expired under a lease."""

from .erasures import LedgerCopy
from .heads import Finding, compare_heads
from .lease import Lease
from .ledger import Ledger, merged
from .newest import newest_records
from .points import Entry, RestorePoint, RetentionEntry, backups_of
from .reading import Catalog
from .records import Head
from .seen import SeenHead, SeenHeads
from .writing import commit, commit_backup, commit_retention

__all__ = [
    "Catalog",
    "Entry",
    "Finding",
    "Head",
    "Lease",
    "Ledger",
    "LedgerCopy",
    "RestorePoint",
    "RetentionEntry",
    "SeenHead",
    "SeenHeads",
    "backups_of",
    "commit",
    "commit_backup",
    "commit_retention",
    "compare_heads",
    "merged",
    "newest_records",
]
