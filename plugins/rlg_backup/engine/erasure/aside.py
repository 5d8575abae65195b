"""Requests that a restore is told to leave alone: the way back where nobody can tell whom one means, or who wrote it.

A stolen signing key writes requests under keys and of kinds that are nobody's, and an erasure key can be lost; neither
may end all restores for good. What is set aside is said wherever the restore is, and such a restore is never a PASS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from ...core.errors import InvalidSetting
from ...core.model import Check, Verdict

HINT = "where {0} is nobody's, or its key is lost, set it aside with --without-request {0} (docs/runbooks/erasure.md)"
_NUMBERS = re.compile(r"([0-9]{1,8})(?:-([0-9]{1,8}))?", re.ASCII)
_MOST = 1_000_000  # requests
_LONGEST = 200  # characters of a reason


@dataclass(frozen=True)
class SetAside:
    """The numbers of requests in the ledger, and why they are set aside."""

    numbers: frozenset[int] = frozenset()
    reason: str = ""

    @classmethod
    def parse(cls, texts: Iterable[str], reason: str | None) -> Self:
        """Of numbers and ranges as people write them (``7``, ``00000007``, ``7-12``, also several with commas).

        Raises InvalidSetting for what is none, and for numbers without a reason of one line.
        """
        found: set[int] = set()
        for part in (part.strip() for text in texts for part in text.split(",") if part.strip()):
            match = _NUMBERS.fullmatch(part)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if not 0 < first <= last < first + _MOST:
                raise InvalidSetting("set aside", part[:20], "it is no number of a request, as 7 or 7-12 is")
            found |= set(range(first, last + 1))
        reason = (reason or "").strip()
        if found and not (0 < len(reason) <= _LONGEST and reason.isprintable()):
            cause = f"a reason of 1 to {_LONGEST} characters, in one line, is to be given"
            raise InvalidSetting("set aside", f"{min(found):08d}", cause, "say why with --reason (without_reason)")
        return cls(frozenset(found), reason if found else "")

    def __bool__(self) -> bool:
        return bool(self.numbers)

    @property
    def warnings(self) -> list[str]:
        """What people are told of it."""
        if not self:
            return []
        return [f"requests to erase set aside: {numbers_told(self.numbers)}: {self.reason}; whom they name may be here"]

    def checks(self) -> list[Check]:
        """For a drill: never green."""
        return [
            Check("erasures", "set aside", Verdict.COULD_NOT_VERIFY, warning, "every request replayed")
            for warning in self.warnings
        ]

    @property
    def verdict(self) -> Verdict:
        """What a restore with it can be said to be."""
        return Verdict.COULD_NOT_VERIFY if self else Verdict.PASS


NOTHING_ASIDE = SetAside()


def numbers_told(numbers: Iterable[int]) -> str:
    """``3, 7-12``."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in ranges)
