"""What happens inside a room: functions that a process of it calls, each returns JSON."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rlg_backup.config.load import load
from rlg_backup.core.errors import BackupError
from rlg_backup.core.model import Kind
from rlg_backup.engine.backup import backup as run
from rlg_backup.engine.drill import drill
from rlg_backup.engine.restore import restore
from rlg_backup.engine.verify import verify
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


class Disaster:
    """Strikes once: when the progress of ``what`` is reported for the ``time``-th time."""

    def __init__(self, what: str, time: int, shell: str) -> None:
        self._what, self._left, self._shell = what, time, shell

    @property
    def struck(self) -> bool:
        return self._left <= 0

    def __call__(self, what: str, done: int, total: int) -> None:
        if what != self._what:
            return
        self._left -= 1
        if self._left == 0:
            subprocess.run(["/bin/sh", "-ec", self._shell], check=True)


def backup_struck(config: str, source: str, what: str, shell: str, time: int = 1) -> dict[str, Any]:
    """A backup in the middle of which a shell command is run."""
    file, disaster = Path(config), Disaster(what, time, shell)
    wiring = Wiring(load(file), base=file.parent, progress=disaster)
    done = outcome(lambda: run(wiring, source, Kind.FULL).to_json())
    assert disaster.struck, "the disaster never came: the test shows nothing"
    return done


def restore_struck(config: str, source: str, to: str, what: str, shell: str) -> dict[str, Any]:
    """A restore in the middle of which a shell command is run."""
    file, disaster = Path(config), Disaster(what, 1, shell)
    wiring = Wiring(load(file), base=file.parent, progress=disaster)
    done = outcome(lambda: restore(wiring, source, "latest", to).to_json())
    assert disaster.struck, "the disaster never came: the test shows nothing"
    return done


def rounds(config: str, place: str) -> dict[str, Any]:
    """Everything that a long-lived worker does, again and again, well and badly; the open descriptors after each."""
    file, failures, counts = Path(config), 0, []
    Path(place).mkdir()
    for number in range(4):
        wiring = Wiring(load(file), base=file.parent)
        for source in ("app", "tree"):
            backup_of(wiring, source)
            restore(wiring, source, "latest", f"{place}/{source}-{number}")
            verify(wiring, source, full=True)
        drill(wiring, ["app", "tree"])
        for source, moment in (("app", "snapshot orders"), ("tree", "encrypt"), ("app", "upload to local")):
            failures += "error" in _failing_backup(file, source, moment)
        for to, moment in ((f"{place}/app-{number}", "never"), (f"{place}/new", "load")):
            failures += "error" in _failing_restore(file, to, moment)
        gc.collect()
        counts.append(len(os.listdir("/proc/self/fd")))
    return {"open": counts, "failures": failures}


def _failing_backup(file: Path, source: str, moment: str) -> dict[str, Any]:
    wiring = Wiring(load(file), base=file.parent, progress=_fail_at(moment))
    return outcome(lambda: run(wiring, source, Kind.FULL).to_json())


def _failing_restore(file: Path, to: str, moment: str) -> dict[str, Any]:
    wiring = Wiring(load(file), base=file.parent, progress=_fail_at(moment))
    return outcome(lambda: restore(wiring, "app", "latest", to).to_json())


def backup_of(wiring: Wiring, source: str) -> None:
    assert run(wiring, source, Kind.FULL).complete


def _fail_at(what: str) -> Callable[[str, int, int], None]:
    """What a disk that fails at this moment would raise."""

    def fail(now: str, done: int, total: int) -> None:
        if now == what:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    return fail
