"""What machine it is, what else it does, and which programs are on it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_ASKED: Final = {
    "PostgreSQL": ("pg_dump", "--version"),
    "age": ("age", "--version"),
    "zstd": ("zstd", "--version"),
    "restic": ("restic", "version"),
    "borg": ("borg", "--version"),
}
_IDLE: Final = (3, 4)  # the places of idle and iowait among the numbers of /proc/stat
_TICK: Final = os.sysconf("SC_CLK_TCK")


def described() -> dict[str, Any]:
    """The machine, for whoever reads the numbers elsewhere."""
    models = [line.partition(": ")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": f"{os.cpu_count()} x {models[0] if models else 'unknown'}",
        "memory": int(_lines("/proc/meminfo")[0].split()[1]) * 1024,
        "python": platform.python_version(),
    }


def versions(environment: Mapping[str, str]) -> dict[str, str]:
    """The programs measured, as they name themselves; those that are not there say so."""
    return {name: _said(command, environment) for name, command in _ASKED.items()}


def busy_seconds() -> float:
    """Processor seconds in which the whole machine did something, since it began."""
    numbers = list(map(int, _lines("/proc/stat")[0].split()[1:9]))  # what guests took is in the first ones already
    return sum(number for place, number in enumerate(numbers) if place not in _IDLE) / _TICK


def _said(command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True)  # noqa: S603 - as above
    except FileNotFoundError:
        return "not installed"
    return done.stdout.strip().splitlines()[0]


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines()
