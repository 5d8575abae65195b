"""Rows told apart by where they lie: one that lies where it lay, in the same version, is unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .bag import Mask, Words

Versions = np.ndarray[Any, np.dtype[np.uint32]]


@dataclass(frozen=True)
class Difference:
    """``kept``: which of the rows of before are still there; ``added``: which of those of now were not there."""

    kept: Mask
    added: Mask


def difference(before: tuple[Words, Versions], now: tuple[Words, Versions], new: Mask) -> Difference:
    """Compares places and versions of two times; the places of each are in order, each once. ``new``: which of those of
    now may be new although they are as before."""
    kept, added = np.zeros(len(before[0]), np.bool_), np.ones(len(now[0]), np.bool_)
    if len(kept) and len(added):
        at = np.minimum(np.searchsorted(before[0], now[0]), len(kept) - 1)
        same = (before[0][at] == now[0]) & (before[1][at] == now[1]) & ~new
        kept[at[same]] = True
        added = ~same
    return Difference(kept, added)
