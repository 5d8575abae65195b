"""An emulator in a process of its own, on 127.0.0.1: started, asked for its ports, ended."""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self


class Emulator(ABC):
    """The process of a script, which prints its ports, on one line, once it listens. It ends with ``stop`` or with the
    process that started it. ``name`` is told when it does not start."""

    name: str
    script: Path
    url: str
    talks = False  # whether it tells each request, which nobody wants to read

    def arguments(self) -> list[str]:
        """What the script is given."""
        return []

    @abstractmethod
    def listening(self, ports: list[int]) -> None:
        """Takes the ports in."""

    def start(self) -> Self:
        # Not by module name: the tests' folders are no packages everywhere.
        command = [sys.executable, str(self.script), *self.arguments()]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if self.talks else None,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.name} emulator did not start: exit code {self._process.wait()}")
        self.listening([int(port) for port in line.split()])
        return self

    def stop(self) -> None:
        """The end of its input is what it ends at."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
