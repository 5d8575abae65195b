"""What a result, a log or an alert says of file names: some, and how many more. The profile keeps all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

SHOWN = 20
EXCLUDED = "not in the backup: "
VANISHED = "a file vanished after it was listed, and is not saved: "
TOKENIZED = "tokenized without a policy: "
UNSTABLE = "a file changed at each of "
NEAR_QUOTA = "near its quota: "
LEDGER = "the erasure ledger on target "


def capped(warnings: Iterable[str]) -> tuple[str, ...]:
    """The warnings in their order, of each kind that names files the first 20 and ``and N more``.

    There may be as many of these as files; of the other kinds, and of tables, none is left out.
    """
    kept: list[str] = []
    counts: Counter[str] = Counter()
    last: dict[str, int] = {}  # kind > place of the line that stands for those left out
    for warning in warnings:
        kind = next((kind for kind in (EXCLUDED, VANISHED, UNSTABLE) if warning.startswith(kind)), None)
        if kind is None:
            kept.append(warning)
            continue
        counts[kind] += 1
        if counts[kind] <= SHOWN:
            kept.append(warning)
        elif kind not in last:
            last[kind] = len(kept)
            kept.append(warning)
    for kind, place in last.items():
        beginning = kept[place].partition(": ")[0]
        kept[place] = f"{beginning}: and {counts[kind] - SHOWN} more"
    return tuple(kept)


def tokenized(column: str, why: str) -> str:
    """That a column was tokenized although no policy says so: alerts tell it."""
    return f"{TOKENIZED}{column} ({why}); give it a policy, or keep it by name"


def ledger_fault(target: str, why: str) -> str:
    """That requests to erase are missing or damaged on a target: a restore may be refused until it is mended."""
    return f"{LEDGER}'{target}' is not as it was: {why}"


def near_quota(how_near: str) -> str:
    """That a target will be full before long."""
    return f"{NEAR_QUOTA}{how_near}"


def full_instead(kind: str, why: str) -> str:
    """That a backup of another ``kind`` was asked for, and a full one is made."""
    return f"full instead of {kind}: {why}"
