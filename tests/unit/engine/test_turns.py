"""Which copies a scrub reads in which of its runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import InvalidSetting
from rlg_backup.engine.turns import Turns


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """In how many runs all is to be read; then for each run how many copies went, the oldest first, and came."""
    return draw(st.integers(1, 6)), draw(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=25)
    )


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(histories())
def test_each_copy_is_read_within_so_many_runs_whatever_comes_and_goes(
    history: tuple[int, list[tuple[int, int]]],
) -> None:
    runs, steps = history
    made, copies, waited = 0, list[str](), dict[str, int]()
    with tempfile.TemporaryDirectory() as folder:
        turns = Turns(Path(folder) / "scrub-app.json")
        for went, came in steps:
            copies = copies[went:] + [f"{number:04}" for number in range(made, made + came)]
            made += came
            due = turns.due("local", copies, runs)
            turns.note("local", copies, due)
            waited = {one: 0 if one in due else waited.get(one, 0) + 1 for one in copies}
            assert [one for one in copies if one in due] == due
            assert all(count < runs for count in waited.values())


def test_an_even_share_is_read_and_remembered_by_the_next_process(tmp_path: Path) -> None:
    copies, seen = [f"{number:02}" for number in range(10)], list[str]()
    for _ in range(4):
        turns = Turns(tmp_path / "state" / "scrub-app.json")
        due = turns.due("local", copies, 4)
        turns.note("local", copies, due)
        seen += due
        assert len(due) <= 3
    assert set(seen) == set(copies)
    assert os.listdir(tmp_path / "state") == ["scrub-app.json"]


def test_what_was_due_and_not_read_is_due_again(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "scrub-app.json")
    assert turns.due("local", ["a", "b", "c"], 3) == ["a"]
    turns.note("local", ["a", "b", "c"], [])
    assert turns.due("local", ["a", "b", "c"], 3) == ["a"]


def test_a_new_copy_waits_for_those_that_were_not_read_for_longer(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "scrub-app.json")
    turns.note("local", ["a", "b"], ["a"])
    assert turns.due("local", ["new", "a", "b"], 3) == ["b"]


@pytest.mark.parametrize("text", ["", "[]", '{"targets": 7}', '{"targets": {"local": {"run": "x", "read": {}}}}'])
def test_a_memory_that_is_none_is_begun_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scrub-app.json"
    path.write_text(text)
    assert Turns(path).due("local", ["a", "b"], 2) == ["a"]


def test_a_memory_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    path = tmp_path / "state" / "scrub-app.json"
    with pytest.raises(InvalidSetting) as caught:
        Turns(path).note("local", ["a"], ["a"])
    assert str(caught.value) == f"unable to write '{path}': file exists\nhint: 'state' is a folder that this user owns"
