"""The threat model promises nothing that no test shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMED = re.findall(r"`(tests/[^`]+)`", (ROOT / "docs" / "threat-model.md").read_text("utf-8"))


def test_it_names_tests() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize("named", sorted(set(NAMED)))
def test_every_test_that_it_names_exists(named: str) -> None:
    file, _, name = named.partition("::")
    assert (ROOT / file).exists()
    if name:
        assert re.search(rf"^def {re.escape(name)}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
