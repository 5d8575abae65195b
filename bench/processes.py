"""One command as a process of its own, with all it starts, and what the system says they took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
MB: Final = 1_000_000
_PROC: Final = Path("/proc")
_EVERY: Final = 0.05  # seconds between two looks at the memory of a process and its children
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class CommandFailed(Exception):
    """A measured command did not end well: nothing that was measured counts."""


@dataclass(frozen=True)
class Run:
    """What one command took. ``peak`` is the most memory its process had resident, ``together`` the most that it and
    its children had at one time (looked at twenty times a second; what they share counts in each), in bytes.
    ``cpu`` is of all of them."""

    name: str
    wall: float
    cpu: float
    peak: int
    together: int
    output: str


def run(name: str, arguments: Sequence[str | Path]) -> Run:
    """Run Python with these arguments to its end; raises CommandFailed when it ends otherwise than with 0."""
    paths = os.pathsep.join(map(str, (PROJECT / "plugins", PROJECT)))
    return run_command(name, [sys.executable, *arguments], {**os.environ, "PYTHONPATH": paths})


def run_command(
    name: str, command: Sequence[str | Path], environment: Mapping[str, str], folder: Path | None = None
) -> Run:
    """Run any program to its end; raises CommandFailed when it ends otherwise than with 0.

    The peak is the kernel's own (``ru_maxrss`` by wait4). A new process begins with the peak of the one that
    starts it, so that one must be small: it imports nothing of the product.
    """
    start = time.perf_counter()
    child = subprocess.Popen(  # noqa: S603 - our own Python, and what we measure beside it
        list(map(str, command)), stdout=subprocess.PIPE, env=dict(environment), cwd=folder, text=True
    )
    assert child.stdout is not None
    with _Memory(child.pid) as memory:
        output = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise CommandFailed(f"unable to measure '{name}': it ended with {child.returncode}\n{output}")
    return Run(name, wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, memory.most, output)


def cpu_of(pid: int) -> float:
    """Processor seconds of a process and its children, those that ended included, as of now."""
    ticks = _ticks(pid, 4) + sum(_ticks(child, 2) for _, child in _below(pid))
    return ticks / _TICK


class _Memory:
    """Looks at what a process and all below it have resident, until the block ends; ``most`` is the largest sum."""

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._pid = pid
        self._done = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(_EVERY):
            self.most = max(self.most, _resident(self._pid) + sum(map(_resident, _begun_below(self._pid))))


def _below(pid: int) -> Iterator[tuple[int, int]]:
    """The children of a process, theirs, and so on, each after its parent; one that ends meanwhile is left out."""
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield pid, child
                yield from _below(child)


def _begun_below(pid: int) -> Iterator[int]:
    """Those of them that are programs of their own by now: until then a new process is its parent, memory and all."""
    lines = {pid: _line(pid)}
    for parent, child in _below(pid):
        lines[child] = _line(child)
        if lines[child] != lines[parent]:
            yield child


def _line(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def _resident(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _ticks(pid: int, fields: int) -> int:
    """utime and stime, and with four fields those of its ended children too."""
    try:
        return sum(map(int, (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[11 : 11 + fields]))
    except OSError:
        return 0
