"""A backup, a restore or an expiry in a process of its own that dies, or freezes, at an exact place: between two steps,
or at the n-th thing that it does to files or over the network.

The places inside a step are CPython's audit events, which come before each such operation: they are the same in every
run of the same project, so a place that was found bad can be gone to again. Nothing of the backup is replaced.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

VERBS = ("stage", "snapshot", "anonymize", "encrypt", "checksum", "upload", "validate", "commit", "wipe")
# Operations that change something others can see, and what a killed process may be in the middle of.
_EVENTS = {
    "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime", "os.truncate",
    "fcntl.flock", "http.client.connect", "http.client.send",
}  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
Started = tuple[BaseProcess, Any]
EVERY_LEASE = timedelta(hours=2)  # after that long, each lease of now has run out


@dataclass(frozen=True)
class Doom:
    """Where it ends. ``verb`` with ``after``: just ahead of that step or just behind it (a step of each target: of
    the first one). Without a verb: ahead of event number ``event`` of the whole run, from 1. ``signal`` is sent by the
    process to itself: SIGKILL, or SIGSTOP to freeze until somebody continues it."""

    verb: str = ""
    after: bool = False
    event: int = 0
    signal: int = signal.SIGKILL

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.verb}" if self.verb else f"event {self.event}"


NEVER = Doom()


def start(
    config: Path, source: str, *, run: str, attempt: int = 1, doom: Doom = NEVER, ahead: timedelta = timedelta(0)
) -> Started:
    """Begins a backup; its clock runs ``ahead``, its variables are those of now. Returns the process, and a pipe that
    gives (outcome, detail, events) when it ends: the backup's id with {target: sequence}, or the class of the error
    with its text; and how many places it passed."""
    return _start(_back_up, config, source, run, attempt, doom, ahead)


def start_restore(config: Path, source: str, to: Path, *, doom: Doom = NEVER) -> Started:
    """Begins a restore of the newest backup; the pipe gives (backup id, place, events)."""
    return _start(_restore, config, source, to, doom)


def start_expiry(
    config: Path, source: str, target: str, *, doom: Doom = NEVER, ahead: timedelta = timedelta(0)
) -> Started:
    """Begins to carry out the retention policy; the pipe gives (verdict, ids of what was removed, events)."""
    return _start(_expire, config, source, target, doom, ahead)


def _start(act: Callable[..., None], *arguments: Any) -> Started:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.preloaded"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=act, args=(dict(os.environ), sender, *arguments), daemon=True)
    process.start()
    sender.close()
    return process, receiver


def finish(started: Started, patience: float = 120) -> tuple[str, Any, int] | None:
    """What the process came to; None when it was killed before it could say."""
    process, receiver = started
    try:
        process.join(patience)
        if process.exitcode is None:
            raise AssertionError(f"the backup was still at work after {patience} s")
        found: tuple[str, Any, int] | None = receiver.recv() if receiver.poll() else None
    except EOFError:
        found = None
    finally:
        receiver.close()
        process.kill()
        process.join()
    return found


def frozen(process: BaseProcess) -> bool:
    """Waits until the process has stopped itself; False when it ended instead."""
    assert process.pid is not None
    while process.exitcode is None:
        if Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return True
        time.sleep(0.005)
    return False


def _back_up(
    environment: dict[str, str],
    sender: Any,
    config: Path,
    source: str,
    run: str,
    attempt: int,
    doom: Doom,
    ahead: timedelta,
) -> None:
    from rlg_backup.config.load import load
    from rlg_backup.core.errors import BackupError
    from rlg_backup.core.model import Kind
    from rlg_backup.engine.backup import backup
    from rlg_backup.engine.wiring import Wiring

    os.environ.update(environment)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # logs of a run that is meant to fail
    wiring = Wiring(load(config), base=config.parent, clock=lambda: datetime.now(UTC) + ahead)
    with _doomed(doom) as events:
        try:
            done = backup(wiring, source, Kind.FULL, run=run, attempt=attempt)
            found: tuple[str, Any] = (done.backup_id, done.committed)
        except BackupError as error:
            found = (type(error).__name__, str(error))
        sender.send((*found, events()))


def _restore(environment: dict[str, str], sender: Any, config: Path, source: str, to: Path, doom: Doom) -> None:
    from rlg_backup.config.load import load
    from rlg_backup.engine.restore import restore
    from rlg_backup.engine.wiring import Wiring

    os.environ.update(environment)
    with _doomed(doom) as events:
        done = restore(Wiring(load(config), base=config.parent), source, "latest", str(to))
        sender.send((done.backup_id, done.to, events()))


def _expire(
    environment: dict[str, str], sender: Any, config: Path, source: str, target: str, doom: Doom, ahead: timedelta
) -> None:
    from rlg_backup.config.load import load
    from rlg_backup.engine.retention import expire
    from rlg_backup.engine.wiring import Wiring

    os.environ.update(environment)
    wiring = Wiring(load(config), base=config.parent, clock=lambda: datetime.now(UTC) + ahead)
    with _doomed(doom) as events:
        done = expire(wiring, source, target)
        removed = [one.removal.backup_id for one in done.certificates]
        sender.send((done.verdict.value, removed, events()))


@contextlib.contextmanager
def _doomed(doom: Doom) -> Iterator[Callable[[], int]]:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _EVENTS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES):
            count += 1
            if count == doom.event:
                os.kill(os.getpid(), doom.signal)

    if doom.verb:
        _guard(doom)
    else:
        sys.addaudithook(hook)
    yield lambda: count


def _guard(doom: Doom) -> None:
    from rlg_backup.engine import steps

    step, once = getattr(steps, doom.verb), [True]

    @functools.wraps(step)
    def guarded(*arguments: Any, **given: Any) -> Any:
        if not doom.after:
            os.kill(os.getpid(), doom.signal)
        result = step(*arguments, **given)
        if doom.after and once.pop():
            os.kill(os.getpid(), doom.signal)
        return result

    setattr(steps, doom.verb, guarded)
