"""What happens inside a room: functions that a process of it calls, each returns JSON."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rlg_backup.config.load import load
from rlg_backup.core.errors import BackupError
from rlg_backup.core.model import Kind
from rlg_backup.engine.backup import backup as run
from rlg_backup.engine.wiring import Wiring


def backup(config: str, source: str, minutes: int = 0) -> dict[str, Any]:
    """A backup by a clock so many minutes ahead: the error's class and text, or what was made."""
    file = Path(config)
    wiring = Wiring(load(file), base=file.parent, clock=lambda: datetime.now(UTC) + timedelta(minutes=minutes))
    return outcome(lambda: run(wiring, source, Kind.FULL).to_json())


def outcome(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except BackupError as error:
        return {"error": type(error).__name__, "text": str(error)}


def usage(folder: str) -> dict[str, int]:
    """Pages and inodes in use on a folder's disk."""
    found = os.statvfs(folder)
    return {"pages": found.f_blocks - found.f_bfree, "inodes": found.f_files - found.f_ffree}
