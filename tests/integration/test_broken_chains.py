"""Each way to break a chain, by the command line: the next backup is a full one that says why, or is refused; what is
committed then can be restored."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.verbs import flip, run_through
from tests.support.world import Ran, World, dump

from rlg_backup.cli.keys_commands import make, write_key
from rlg_backup.cli.setup_commands import KEY_FILES
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.archives import ARCHIVE, STATE
from rlg_backup.engine.backup import result


def begun(root: Path, *targets: str) -> tuple[World, list[str]]:
    """A full backup, two incremental ones, and changes since; on one target unless others are named."""
    world = World.make(root, targets=targets or ("local",))
    ids = []
    for kind in ("full", "incremental", "incremental"):
        done = world.run("backup", "--kind", kind, "--json")
        assert (done.code, done.json[0]["kind"]) == (0, kind), done.out
        ids.append(done.json[0]["backup_id"])
        change(world)
    return world, ids


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[str]]:
    return begun(tmp_path_factory.mktemp("chain") / "world")


@pytest.fixture
def ids(chained: tuple[World, list[str]]) -> list[str]:
    return chained[1]


@pytest.fixture
def world(chained: tuple[World, list[str]], tmp_path: Path) -> World:
    return chained[0].copy(tmp_path / "world")


def change(world: World) -> None:
    """A row is added, one is changed, one is removed."""
    connection = sqlite3.connect(world.root / "app.db", isolation_level=None)
    connection.execute("INSERT INTO orders (person, cents) VALUES (1, 1)")
    connection.execute("UPDATE orders SET cents = cents + 1 WHERE id = (SELECT min(id) FROM orders)")
    connection.execute("DELETE FROM orders WHERE id = (SELECT min(id) + 1 FROM orders)")
    connection.close()


def restored(world: World, which: str = "latest") -> str:
    place = world.root / f"back-{which}.db"
    done = world.run("restore", which, "--to", place)
    assert done.code == 0, done.out + done.err
    return dump(place)


def next_one(world: World) -> Ran:
    return world.run("backup", "--kind", "incremental", "--json")


def place(world: World, backup_id: str, name: str) -> Path:
    return world.target() / "app" / backup_id / name


def test_a_sound_chain_is_gone_on_with_and_each_point_of_it_comes_back(tmp_path: Path) -> None:
    world, ids = begun(tmp_path / "world")
    [done] = next_one(world).json
    assert (done["kind"], done["asked"], [w for w in done["warnings"] if "full instead" in w]) == (
        "incremental",
        "incremental",
        [],
    )
    shown = world.run("show", "latest", "--json").json
    assert [link["backup_id"] for link in shown["chain"]] == [*ids, done["backup_id"]]
    assert restored(world) == dump(world.root / "app.db")
    assert len({restored(world, one) for one in ids}) == 3
    [differential] = world.run("backup", "--kind", "differential", "--json").json
    assert differential["kind"] == "differential"
    shown = world.run("show", "latest", "--json").json
    assert [link["backup_id"] for link in shown["chain"]] == [ids[0], differential["backup_id"]]
    assert restored(world, differential["backup_id"]) == dump(world.root / "app.db")


def flipped_state(world: World, ids: list[str]) -> None:
    path = place(world, ids[2], STATE)
    flip(path, path.stat().st_size // 2)


def lost_identity(world: World, ids: list[str]) -> None:
    (world.root / "keys" / KEY_FILES["state"]).unlink()


def another_identity(world: World, ids: list[str]) -> None:
    file = world.root / "keys" / KEY_FILES["state"]
    file.unlink()
    write_key(file, "state", *make("state"))


def no_identity(world: World, ids: list[str]) -> None:
    world.settings["change_state"].pop("identities")
    world.save()


def nothing(world: World, ids: list[str]) -> None:
    """But the project is a copy already: its database is another file than the one that was backed up."""


def rolled_back(world: World, ids: list[str]) -> None:
    """The target as it was before the newest backup, and this machine's memory with it."""
    world.records()[2].unlink()
    shutil.rmtree(world.target() / "app" / ids[2])
    (world.root / "state" / "seen.json").unlink()


def no_state(world: World, ids: list[str]) -> None:
    place(world, ids[2], STATE).unlink()


def no_archive(world: World, ids: list[str]) -> None:
    place(world, ids[0], ARCHIVE).unlink()


def flipped_manifest(world: World, ids: list[str]) -> None:
    flip(place(world, ids[1], "manifest.json"), 100)


OTHER = "its SHA-256 is not the one that was committed"
BREAKS: dict[str, tuple[Callable[[World, list[str]], None], str]] = {
    "a byte of the state": (
        flipped_state,
        "unable to fetch 'app/{2}/state.zip.age': target 'local' holds other bytes than the manifest names",
    ),
    "the state": (no_state, "no target holds the change state of backup '{2}'"),
    "its identity": (
        lost_identity,
        "unable to read 'file:keys/backup-worker/state.txt': there is no such file",
    ),
    "its identity is another": (
        another_identity,
        "unable to decrypt 'app/{2}/state.zip.age': none of the identities given opens it",
    ),
    "its identity is not configured": (
        no_identity,
        "unable to open 'change_state.identities': no identity is configured here",
    ),
    "the full archive": (no_archive, "unable to read 'app/{0}/default.zip.age': it is not on target 'local'"),
    "a byte of a manifest": (flipped_manifest, f"unable to verify 'app/{{1}}/manifest.json': {OTHER}"),
    "the database it is of": (nothing, "the source is another database or folder than that of the backup before"),
    "the target and our memory of it": (rolled_back, "no target holds the change state of backup '{1}'"),
}


@pytest.mark.parametrize("lost", BREAKS)
def test_what_is_lost_makes_the_next_backup_a_full_one_that_says_so_and_comes_back(
    lost: str, world: World, ids: list[str]
) -> None:
    damage, why = BREAKS[lost]
    damage(world, ids)
    done = next_one(world)
    [made] = done.json
    assert (done.code, made["kind"], made["asked"]) == (0, "full", "incremental")
    told = [warning for warning in made["warnings"] if warning.startswith("full instead of ")]
    assert told == [f"full instead of incremental: {why.format(*ids)}"]
    assert restored(world) == dump(world.root / "app.db")


def test_a_person_is_told_of_the_full_one_too(world: World, ids: list[str]) -> None:
    no_state(world, ids)
    done = world.run("backup", "--kind", "incremental")
    told = f"  warning: full instead of incremental: no target holds the change state of backup '{ids[2]}'"
    assert done.code == 0
    assert told in done.out.splitlines()


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (
            3,
            "unable to read 'catalog/app': it ends at record 00000002 on target 'local', but this machine saw record "
            "00000003: a backup is hidden, or the target was rolled back",
        ),
        (
            2,
            "unable to list 'catalog/app': record 00000002 is missing on target 'local': a backup is hidden, or was "
            "removed",
        ),
    ],
)
def test_a_target_that_hides_a_record_gets_nothing_new(number: int, cause: str, world: World) -> None:
    """Whatever is committed after a hole could not be relied on as the latest."""
    world.records()[number - 1].unlink()
    before = world.objects()
    done = next_one(world)
    [text] = {done.json["error"]}
    assert (done.code, text) == (1, "BackupIncomplete")
    assert done.json["message"].endswith(f": no copy could be committed (local: {cause})")
    assert {name for name in world.objects() if name.startswith("catalog/")} <= set(before)


def test_a_target_whose_catalog_lost_the_parent_during_the_run_gets_no_copy_and_the_other_does(tmp_path: Path) -> None:
    world, ids = begun(tmp_path / "world", "local", "second")
    wiring = world.wiring()
    reference = run_through(wiring, "validate", steps.stage(wiring, "app", Kind.INCREMENTAL, run="late"))
    world.records("second")[2].unlink()
    (world.root / "state" / "seen.json").unlink()
    done = result(wiring, steps.commit(wiring, reference))
    assert (done.kind, done.committed) == ("incremental", {"local": 4})
    lacking = f"its parent '{ids[2]}' is not in the catalog of target 'second'"
    hint = "hint: make a full backup to this target"
    assert done.missing == {"second": f"unable to commit '{done.backup_id}': {lacking}\n{hint}"}
    steps.wipe(wiring, reference)
    assert restored(world) == dump(world.root / "app.db")
