"""Which copies a scrub is to read: each at least once in so many of its runs, however far these are apart.

This machine remembers by which run of a source each copy was read last. One that is new counts as read by the run
before: it was read back when it was stored.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core.errors import InvalidSetting
from ..core.private import create_private

log = logging.getLogger(__name__)


class Turns:
    """The memory of one source, a small JSON file for its targets. Where it is lost, or another machine's, all is read
    within so many runs from then on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._targets = _read(path)

    def due(self, target: str, copies: Sequence[str], runs: int) -> list[str]:
        """Of the ids of ``copies``, oldest first, those that this run is to read: an even share, the longest unread
        first, and every one that was read ``runs`` runs ago."""
        number, last = self._number(target) + 1, self._last(target, copies)
        share = -(-len(copies) // runs)
        first = set(sorted(copies, key=lambda one: last[one])[:share])
        return [one for one in copies if one in first or number - last[one] >= runs]

    def note(self, target: str, copies: Sequence[str], read: Collection[str]) -> None:
        """Ends a run on a target. Raises InvalidSetting where it cannot be remembered."""
        number, last = self._number(target) + 1, self._last(target, copies)
        self._targets[target] = {"run": number, "read": {one: number if one in read else last[one] for one in copies}}
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with create_private(temporary) as file:
                file.write(json.dumps({"version": 1, "targets": self._targets}, indent=1).encode())
            temporary.replace(self._path)
        except OSError as error:
            with suppress(OSError):  # the first error is the one to tell
                temporary.unlink()
            cause = (error.strerror or type(error).__name__).lower()
            raise InvalidSetting("write", str(self._path), cause, "'state' is a folder that this user owns") from None

    def _number(self, target: str) -> int:
        return int(self._targets.get(target, {}).get("run", 0))

    def _last(self, target: str, copies: Sequence[str]) -> dict[str, int]:
        known = self._targets.get(target, {}).get("read", {})
        return {one: int(known.get(one, self._number(target))) for one in copies}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_bytes())["targets"]
        return {target: {"run": int(one["run"]), "read": dict(one["read"])} for target, one in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("'%s' is not what a scrub wrote (%s): all is read anew", path, type(error).__name__)
        return {}
