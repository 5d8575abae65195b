"""One command as a process of its own, and what the system says it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
MB: Final = 1_000_000


class CommandFailed(Exception):
    """A measured command did not end well: nothing that was measured counts."""


@dataclass(frozen=True)
class Run:
    """What one process took. ``peak`` is the most memory it had resident, in bytes."""

    name: str
    wall: float
    cpu: float
    peak: int
    output: str


def run(name: str, arguments: Sequence[str | Path]) -> Run:
    """Run Python with these arguments to its end; raises CommandFailed when it ends otherwise than with 0.

    The peak is the kernel's own (``ru_maxrss`` by wait4). A new process begins with the peak of the one that
    starts it, so that one must be small: it imports nothing of the product.
    """
    command = [sys.executable, *map(str, arguments)]
    paths = os.pathsep.join(map(str, (PROJECT / "plugins", PROJECT)))
    start = time.perf_counter()
    child = subprocess.Popen(  # noqa: S603 - our own Python
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}, text=True
    )
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if child.returncode:
        raise CommandFailed(f"unable to measure '{name}': it ended with {child.returncode}\n{output}")
    return Run(name, wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, output)
