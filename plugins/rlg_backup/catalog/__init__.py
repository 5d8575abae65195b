"""Restore points of a source on a target: listed from names, believed by signatures, committed under a lease."""

from .heads import Finding, compare_heads
from .lease import Lease
from .points import RestorePoint
from .reading import Catalog
from .records import Head
from .seen import SeenHead, SeenHeads
from .writing import commit, commit_backup

__all__ = [
    "Catalog",
    "Finding",
    "Head",
    "Lease",
    "RestorePoint",
    "SeenHead",
    "SeenHeads",
    "commit",
    "commit_backup",
    "compare_heads",
]
