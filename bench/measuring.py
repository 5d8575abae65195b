"""Runs contenders and keeps what each run took, together with what else the machine did meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.contenders import CONTENDERS, IMPORTS, Contender
from bench.machine import busy_seconds
from bench.processes import cpu_of, run_command

_SHELL: Final = ("bash", "-o", "pipefail", "-c")


@dataclass(frozen=True)
class Measured:
    """One run, in seconds and bytes. ``wall`` is without ``imports``, which only our commands tell; ``cpu`` is that of
    the command and its children, ``server`` that of PostgreSQL, ``others`` the processors that the rest of the
    machine kept busy; ``memory`` is of the command and its children together; ``steps`` are those we tell."""

    verb: str
    name: str
    wall: float
    imports: float
    cpu: float
    server: float
    others: float
    memory: float
    stored: float
    load: float
    steps: Mapping[str, float]


@dataclass
class Measurement:
    """All runs on one database. ``postmaster`` is the process id of its server."""

    root: Path
    environment: Mapping[str, str]
    postmaster: int
    runs: list[Measured] = field(default_factory=list)

    def run(self, verb: str, contender: Contender) -> Measured:
        """Runs a contender after what it needs was made ready and everything written is on the disk. Raises
        CommandFailed."""
        run_command(contender.name, [*_SHELL, contender.before], self.environment, self.root)
        os.sync()
        load, server, busy = os.getloadavg()[0], cpu_of(self.postmaster), busy_seconds()
        done = run_command(contender.name, [*_SHELL, contender.line], self.environment, self.root)
        server, busy = cpu_of(self.postmaster) - server, busy_seconds() - busy
        imports = float((self.root / IMPORTS).read_text()) if contender.ours else 0.0
        one = Measured(
            verb=verb,
            name=contender.name,
            wall=done.wall - imports,
            imports=imports,
            cpu=done.cpu,
            server=server,
            others=max(0.0, busy - done.cpu - server) / done.wall,
            memory=done.together,
            stored=_size(self.root / contender.stored) if contender.stored else 0,
            load=load,
            steps=_steps(done.output) if contender.ours else {},
        )
        self.runs.append(one)
        return one

    def medians(self, verb: str) -> list[Measured]:
        """One for each contender of a verb, in the order of their first runs: every number the median of its own."""
        names = dict.fromkeys(one.name for one in self.runs if one.verb == verb)
        return [_median([one for one in self.runs if (one.verb, one.name) == (verb, name)]) for name in names]

    def to_json(self, contenders: Mapping[str, Sequence[Contender]] = CONTENDERS) -> dict[str, Any]:
        medians = [asdict(one) for verb in contenders for one in self.medians(verb)]
        commands = {verb: {one.name: one.line for one in some} for verb, some in contenders.items()}
        return {"commands": commands, "medians": medians, "runs": [asdict(one) for one in self.runs]}


def _median(runs: Sequence[Measured]) -> Measured:
    first = runs[0]
    numbers = {name: median(getattr(one, name) for one in runs) for name in _numbers(first)}
    steps = {step: median(one.steps[step] for one in runs) for step in first.steps}
    return Measured(verb=first.verb, name=first.name, steps=steps, **numbers)


def _numbers(one: Measured) -> Iterator[str]:
    return (name for name, value in asdict(one).items() if isinstance(value, int | float))


def _steps(output: str) -> dict[str, float]:
    """Seconds by step, from what a command of ours printed: an object, or a list of one."""
    told = json.loads(output)
    found: dict[str, float] = (told[0] if isinstance(told, list) else told)["seconds"]
    return found


def _size(place: Path) -> int:
    files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)
