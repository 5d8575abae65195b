"""Large tables are searched for personal data in a sample that is drawn while they are staged."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pyarrow as pa
import pytest
from tests.support.verbs import begun, run_through
from tests.support.world import World

from rlg_backup.anonymize.sampling import READ_WHOLE, ROWS
from rlg_backup.core.errors import LeakFound
from rlg_backup.engine import steps
from rlg_backup.engine.samples import KIND, Samples, read_sample
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference, Workspace

LARGE = READ_WHOLE + 60_000
CHATTY = 500  # one note in so many repeats an e-mail address of another row


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A table of several parts whose notes repeat what a policy takes out of another column."""
    world = World.make(tmp_path_factory.mktemp("large") / "world")
    Path(world.root / "app.db").unlink()
    with sqlite3.connect(world.root / "app.db") as database:
        database.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, email TEXT, note TEXT)")
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO log "
            "SELECT i, 'user' || i || '@mail.example.org', hex(randomblob(24)) || CASE WHEN i % ? = 0 "
            "THEN ' from user' || (i + 1) || '@mail.example.org' ELSE '' END FROM n",
            (LARGE, CHATTY),
        )
    world.source.update(policies={"log.email": "tokenize"}, on_leak="fail")
    world.save()
    return world


def staged(world: World, last: str = "snapshot") -> tuple[Wiring, Reference, Workspace]:
    wiring = world.wiring()
    reference = begun(wiring)
    if last == "snapshot":
        reference = run_through(wiring, last, reference)
    return wiring, reference, Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)


def found(wiring: Wiring, reference: Reference) -> tuple[int, int]:
    """In how many of how many notes the step finds what it must not."""
    with pytest.raises(LeakFound) as caught:
        steps.anonymize(wiring, reference)
    told = re.fullmatch(
        r"unable to go on with 'run-1/app': staged columns hold personal data in clear: "
        r"log\.note: original values of log\.email in (\d+) of (\d+)\n"
        r"hint: give each a policy, or accept it by name in 'personal_text_allowed'; nothing was uploaded",
        str(caught.value),
    )
    assert told, str(caught.value)
    return int(told[1]), int(told[2])


def test_a_leak_in_one_row_of_five_hundred_of_a_large_table_is_found(large: World) -> None:
    wiring, reference, workspace = staged(large)
    try:
        parts = [member for member in workspace.record("snapshot")["members"] if member["name"].startswith("data/")]
        assert len(parts) > 1
        hits, looked = found(wiring, reference)
        assert ROWS <= looked < 1.9 * ROWS  # the sample, and the share of one part
        assert 0.5 * looked / CHATTY < hits < 2 * looked / CHATTY
    finally:
        steps.wipe(wiring, reference)


def test_one_part_is_read_back_whatever_the_sample_says(large: World) -> None:
    """Stays red for who takes the sample's word for the members."""
    wiring, reference, workspace = staged(large)
    try:
        for path in workspace.folder.glob(f"{KIND}-*"):
            workspace.remove_file(path.name)
            with workspace.create_file(path.name):
                pass
        hits, looked = found(wiring, reference)
        assert 0 < hits < looked < ROWS
    finally:
        steps.wipe(wiring, reference)


def test_a_sample_holds_no_original_value(large: World) -> None:
    wiring, reference, workspace = staged(large)
    try:
        files = [path.name for path in workspace.folder.glob(f"{KIND}-*")]
        emails = [batch["email"] for name in files for batch in read_sample(workspace, name, LARGE)]
        assert sum(map(len, emails)) > 0.9 * ROWS
        assert all(b"example" not in value for column in emails for value in column.to_pylist())
    finally:
        steps.wipe(wiring, reference)


def test_a_sample_of_rows_whose_forms_change_comes_back_in_order(large: World) -> None:
    wiring, reference, workspace = staged(large, "stage")
    try:
        sample = Samples(workspace).begin()
        numbers = pa.array(range(100_000)).cast(pa.string())
        for first in range(0, 400_000, 100_000):
            column = numbers if first % 200_000 else numbers.cast(pa.binary())
            sample.add(pa.record_batch([column, pa.nulls(100_000)], ["text", "nothing"]), first + 100_000)
        (name,) = sample.close(400_000, alone=True)
        kept = list(read_sample(workspace, name, 400_000))
        assert {str(batch.schema.field("text").type) for batch in kept} == {"string", "binary"}
        assert all(batch.schema.names == ["text"] for batch in kept)
        assert abs(sum(map(len, kept)) - ROWS) < 5 * ROWS**0.5
    finally:
        steps.wipe(wiring, reference)


def test_a_small_table_leaves_no_sample(large: World) -> None:
    wiring, reference, workspace = staged(large, "stage")
    try:
        small = Samples(workspace).begin()
        small.add(pa.record_batch([pa.array(["x"] * 1000)], ["text"]), 1000)
        assert small.close(1000, alone=True) == []
        one_of_two = Samples(workspace).begin()
        one_of_two.add(pa.record_batch([pa.array(["x"] * 1000)], ["text"]), 1000)
        assert len(one_of_two.close(1000, alone=False)) == 1
    finally:
        steps.wipe(wiring, reference)
