"""A room of its own for a command: real small disks that fill up, go away or become read-only; limits; another user.

A mount namespace that only the room's processes are in. The test looks into it through /proc/PID/root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from tests.support.world import Ran

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
PAGE = os.sysconf("SC_PAGE_SIZE")
ROOMY, MANY = 1 << 28, 1 << 16  # bytes and inodes that no test uses up
_APART = ["unshare", "--mount", "--propagation", "private"]


def namespace() -> list[str]:
    """The command that gives a process its own mounts; empty where the system lets nobody have them."""
    for command in (_APART, [*_APART, "--map-root-user"]):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return []


def required_namespace() -> list[str]:
    """The same; skips the test where there is none, which is an error in CI (tests/conftest.py)."""
    return namespace() or pytest.skip(  # an error in CI (tests/conftest.py)
        "REQUIRED-IN-CI: this system lets nobody have mounts of his own (unshare --mount)"
    )


class Room:
    """Use as a context manager."""

    def __init__(self, prefix: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [*prefix, sys.executable, str(Path(__file__).with_name("inside.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.pid = int(self._answer()["pid"])
        self._disks: list[Path] = []

    def __enter__(self) -> Room:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def see(self, path: Path) -> Path:
        """Where the test finds what lies at ``path`` in the room."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    def disk(self, place: Path, *, size: int = ROOMY, inodes: int = MANY) -> None:
        """An empty file system of ``size`` bytes (whole pages) and so many inodes, its own folder among them."""
        place.mkdir(exist_ok=True)
        self._do("mount", place=str(place), options=_options(size, inodes))
        self._disks.append(place)

    def resize(self, place: Path, *, size: int = ROOMY, inodes: int = MANY) -> None:
        self._do("mount", place=str(place), options=_options(size, inodes), again=True)

    def read_only(self, place: Path, yes: bool = True) -> None:
        self._do("mount", place=str(place), again=True, read_only=yes)

    def unmount(self, place: Path) -> None:
        self._do("unmount", place=str(place))
        self._disks.remove(place)

    def forget(self, place: Path) -> None:
        """A disk that somebody else has taken away."""
        self._disks.remove(place)

    def clear(self) -> None:
        """Takes away every disk that is left."""
        for place in reversed(self._disks.copy()):
            self.unmount(place)

    def holds(self, place: Path) -> list[str]:
        """Everything below a folder of the room."""
        seen = self.see(place)
        return sorted(str(path.relative_to(seen)) for path in seen.rglob("*")) if seen.is_dir() else []

    def run(self, *arguments: str | Path, limits: Mapping[str, int] | None = None, user: int | None = None) -> Ran:
        """The command line in a process of its own."""
        given = [str(argument) for argument in arguments]
        return Ran(**self._do("run", arguments=given, limits=dict(limits or {}), user=user))

    def call(
        self, function: str, *, limits: Mapping[str, int] | None = None, user: int | None = None, **given: Any
    ) -> Ran:
        """``module:function`` in a process of its own; it returns JSON."""
        return Ran(**self._do("call", function=function, given=given, limits=dict(limits or {}), user=user))

    def learn(self, *commands: list[str]) -> None:
        """Imports beforehand what these commands import late."""
        self._do("learn", commands=commands)

    def _do(self, what: str, **given: Any) -> Any:
        assert self._process.stdin is not None
        print(json.dumps({"do": what, **given}), file=self._process.stdin, flush=True)
        answer = self._answer()
        assert "error" not in answer, answer
        return answer["done"]

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the room's process is gone"
        return json.loads(line)


def _options(size: int, inodes: int) -> str:
    return f"size={size},nr_inodes={inodes},mode=0777"
