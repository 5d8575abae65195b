"""The coverage-guided search finds nothing in the parsers, and what it once found is read by every run.

Seconds for the most exposed parsers in an everyday run, minutes for each in ``make soak``.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.targets import TARGETS, check

ROOT = Path(__file__).parents[2]
FOUND = Path(__file__).parent / "found"
INPUTS = sorted(path for path in FOUND.rglob("*") if path.is_file())
EXPOSED = ("age", "zip_entries")  # what lies on a target, in the order a restore reads it
EVERYDAY, SOAK = 2, 180  # seconds for each parser
HERE = (platform.python_implementation(), sys.version_info[:2], platform.machine(), sys.platform)
MADE_FOR = ("CPython", (3, 11), "x86_64", "linux")
REQUIRED = "REQUIRED-IN-CI: atheris is missing (requirements-test.txt)"
ELSEWHERE = "atheris, which leads the search, is made for CPython 3.11 on Linux (x86_64); the other fuzzing runs here"

searches = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason=REQUIRED if HERE == MADE_FOR else ELSEWHERE
)


def search(name: str, seconds: int, folder: Path) -> str:
    """What a search of that many seconds says; raises AssertionError when it found something."""
    command = [sys.executable, "-m", "tests.fuzz.coverage_guided", name, str(seconds), str(folder)]
    environment = {"PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}", "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, errors="replace")
    assert done.returncode == 0, done.stderr[-4000:]
    assert not list(folder.glob("found-*"))
    return done.stderr


def tried(said: str) -> int:
    found = re.search(r"stat::number_of_executed_units: (\d+)", said)
    assert found is not None, said[-2000:]
    return int(found[1])


@searches
@pytest.mark.parametrize("name", EXPOSED)
def test_nothing_is_found_in_the_most_exposed_parsers(name: str, tmp_path: Path) -> None:
    assert tried(search(name, EVERYDAY, tmp_path)) > 100


@searches
@pytest.mark.soak
@pytest.mark.timeout(SOAK + 120)
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_is_found_in_minutes(name: str, tmp_path: Path) -> None:
    print(f"{name}: {tried(search(name, SOAK, tmp_path))} inputs")


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_is_read_or_refused(path: Path) -> None:
    check(path.parent.name, path.read_bytes())


def test_what_was_found_is_of_a_parser() -> None:
    assert {path.parent.name for path in INPUTS} <= set(TARGETS)
