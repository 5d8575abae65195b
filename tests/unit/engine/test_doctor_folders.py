"""The doctor tries every folder that a run writes to, before the night it is needed."""

from __future__ import annotations

import pytest
from tests.support.world import World

from rlg_backup.core.model import Check, Verdict
from rlg_backup.engine.doctor import examine

FOLDERS = {("staging", "folder"): "staging", ("state", "folder"): "state", ("drill", "scratch"): "scratch",
           ("drill", "reports"): "reports"}  # fmt: skip


def found(world: World) -> dict[tuple[str, str], Check]:
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    return {(check.group, check.name): check for check in examine(world.wiring())}


@pytest.mark.parametrize("which", FOLDERS, ids=lambda which: "-".join(which))
def test_a_folder_that_cannot_be_written_to_is_named(
    world: World, which: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # without Airflow, which would be asked for its pools
    assert found(world)[which].verdict is Verdict.PASS
    place = world.root / FOLDERS[which]
    place.rmdir()
    place.write_text("a file where a folder should be")
    check = found(world)[which]
    assert (check.verdict, check.measured) == (Verdict.FAIL, f"'{place}' cannot be written to: File exists")
