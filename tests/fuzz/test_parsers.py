"""Whatever the bytes are, a parser takes them or refuses them with an error of ours; valid ones come back as they were.

Everyday runs draw the same inputs each time. ``make soak`` draws new ones: its seed is printed, and
RLG_FUZZ_SEED=<seed> draws them again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from tests.fuzz.strategies import as_text, changed_bytes, changed_value, spelt_otherwise, tricky_yaml
from tests.fuzz.target import as_json
from tests.fuzz.targets import TARGETS, check

NAMES = sorted(TARGETS)
YAML = ("configuration", "suite", "references")
EXAMPLES = 60  # of each kind and parser in an everyday run
LONG = 5_000  # in a long one
SLOW = {"sqlite_schema": 3, "tree_index": 2, "key_text": 2, "seen": 3}  # parsers that take some milliseconds an input


@cache
def seeds(name: str) -> list[bytes]:
    return TARGETS[name].seeds()


def inputs(name: str) -> dict[str, st.SearchStrategy[bytes]]:
    """The kinds of inputs of a parser."""
    kinds = {"changed": changed_bytes(seeds(name)), "any": st.binary(max_size=300)}
    if TARGETS[name].json:
        kinds["value"] = changed_value([as_json(seed) for seed in seeds(name)]).map(as_text)
        kinds["spelling"] = spelt_otherwise([as_json(seed) for seed in seeds(name)])
    if name in YAML:
        kinds["yaml"] = tricky_yaml(seeds(name))
    return kinds


def explore(
    name: str, kind: str, *, examples: int, derandomize: bool, wrap: Callable[[Any], Any] = lambda test: test
) -> None:
    """Draws inputs and hands them to the parser."""

    @wrap
    @settings(
        max_examples=examples,
        derandomize=derandomize,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(name)[kind])
    def run(data: bytes) -> None:
        check(name, data)

    run()


CASES = [(name, kind) for name in NAMES for kind in inputs(name)]


@pytest.mark.parametrize("name", NAMES)
def test_valid_input_is_taken(name: str) -> None:
    for data in seeds(name):
        assert TARGETS[name].run(data) is not None


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_only_our_errors_come_out(name: str, kind: str) -> None:
    explore(name, kind, examples=EXAMPLES // SLOW.get(name, 1), derandomize=True)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_only_our_errors_come_out_of_many_more(name: str, kind: str) -> None:
    number = int(os.environ.get("RLG_FUZZ_SEED") or secrets.randbits(32))
    print(f"RLG_FUZZ_SEED={number} draws these inputs again")
    explore(name, kind, examples=LONG // SLOW.get(name, 1), derandomize=False, wrap=seed(number))
