"""Taking a name: never over anything, whatever comes between the look and the act."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlg_backup.core.errors import DestinationUnsuitable
from rlg_backup.sources.placing import partial_name, take_name


def test_a_free_name_is_taken_and_the_built_one_is_gone(tmp_path: Path) -> None:
    built = tmp_path / "built"
    built.write_bytes(b"new")
    take_name(built, tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["name"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_name_taken_at_the_last_moment_stays_whose_it_is(tmp_path: Path, kind: str) -> None:
    built, name = tmp_path / "built", tmp_path / "name"
    built.write_bytes(b"new")
    {"file": name.touch, "folder": name.mkdir, "link": lambda: name.symlink_to("nowhere")}[kind]()
    with pytest.raises(DestinationUnsuitable) as caught:
        take_name(built, name)
    assert str(caught.value) == f"unable to restore to '{name}': something took its name meanwhile"
    assert built.read_bytes() == b"new"
    assert name.is_symlink() == (kind == "link")


def test_a_partial_name_is_hidden_new_each_time_and_short_enough(tmp_path: Path) -> None:
    names = {partial_name(tmp_path / ("n" * 250)) for _ in range(9)}
    assert len(names) == 9
    for name in names:
        assert name.parent == tmp_path
        assert name.name.startswith(".n")
        name.touch()
