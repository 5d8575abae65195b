"""Keys that are rotated, and targets that are lost, while a chain goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.integration.test_broken_chains import change
from tests.support.compare import assert_trees_equal
from tests.support.world import Ran, World, dump

from rlg_backup.cli.keys_commands import make, write_key


def new_key(world: World, what: str, name: str) -> tuple[str, str]:
    """Another key of a kind: its reference, and its public half."""
    secret, public = make(what, False)
    write_key(world.root / "keys" / name, what, secret, public)
    return f"file:keys/{name}", public or ""


def backed_up(world: World, kind: str = "incremental") -> Ran:
    world.save()
    return world.run("backup", "--kind", kind, "--json")


def restored(world: World, which: str) -> None:
    """A point is what the source is now."""
    place = world.root / f"back-{which}.db"
    done = world.run("restore", which, "--source", "app", "--to", place)
    assert done.code == 0, done.err
    assert dump(place) == dump(world.root / "app.db")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """After a full backup and a change of the source."""
    world = World.make(tmp_path / "world")
    world.back_up()
    change(world)
    return world


def test_a_chain_goes_on_after_recipients_were_rotated_and_needs_the_identities_of_both(world: World) -> None:
    (old,) = world.settings["encryption"]["identities"]
    reference, recipient = new_key(world, "identity", "new-identity.txt")
    world.settings["encryption"] = {"recipients": [recipient, world.public["escrow"]], "identities": [reference, old]}
    done = backed_up(world)
    assert (done.code, done.json[0]["kind"]) == (0, "incremental")
    backup_id = done.json[0]["backup_id"]
    restored(world, backup_id)
    assert world.run("verify", backup_id, "--full").code == 0
    (full,) = [point["backup_id"] for point in world.run("list", "--json").json if point["kind"] == "full"]
    for kept, closed in ((reference, full), (old, backup_id)):
        world.settings["encryption"]["identities"] = [kept]
        world.save()
        lost = world.run("restore", backup_id, "--source", "app", "--to", world.root / "never.db")
        assert (lost.code, lost.err) == (
            2,
            f"error: unable to decrypt 'app/{closed}/default.zip.age': none of the identities given opens it\n"
            "hint: the manifest's 'recipients' are the ids of the keys that do; give the identity of one of them\n",
        )
        assert not (world.root / "never.db").exists()


def test_a_chain_goes_on_after_the_signing_key_was_rotated_while_the_old_one_is_trusted(world: World) -> None:
    reference, public = new_key(world, "signing", "new-signing.txt")
    old = world.settings["signing"]["trusted"]
    world.settings["signing"] = {"key": reference, "trusted": [*old, public]}
    done = backed_up(world)
    assert (done.code, done.json[0]["kind"]) == (0, "incremental")
    restored(world, "latest")
    assert world.run("verify", "latest", "--source", "app", "--full").code == 0


def test_a_state_that_was_written_for_the_old_recipient_is_gone_on_with_by_who_has_its_identity(world: World) -> None:
    (old,) = world.settings["change_state"]["identities"]
    reference, recipient = new_key(world, "state", "new-state.txt")
    world.settings["change_state"] = {"recipients": [recipient], "identities": [reference, old]}
    assert backed_up(world).json[0]["kind"] == "incremental"
    change(world)
    world.settings["change_state"]["identities"] = [reference]  # all that is needed from now on
    assert backed_up(world).json[0]["kind"] == "incremental"
    restored(world, "latest")


def test_after_the_tokenization_key_was_rotated_a_full_backup_is_made_and_the_old_ones_come_back(world: World) -> None:
    before = dump(world.root / "app.db")
    chain = backed_up(world).json[0]["backup_id"]
    old = world.settings["tokenization"]["key"]
    reference, _ = new_key(world, "tokenization", "new-tokenization.txt")
    world.settings["tokenization"] = {"key": reference, "old_keys": [old]}
    change(world)
    full = backed_up(world).json[0]
    why = f"full instead of incremental: backup '{chain}' was made with another tokenization key"
    assert (full["kind"], full["warnings"][0]) == ("full", why)
    restored(world, full["backup_id"])
    place = world.root / "of before.db"
    assert world.run("restore", chain, "--source", "app", "--to", place).code == 0
    assert dump(place) == before
    assert backed_up(world).json[0]["kind"] == "incremental"
    world.settings["tokenization"]["old_keys"] = []
    world.save()
    lost = world.run("restore", chain, "--source", "app", "--to", world.root / "never.db")
    assert (lost.code, lost.err.splitlines()[1]) == (
        2,
        "hint: add the key the backup was made with to 'tokenization.old_keys'",
    )


def test_a_chain_of_a_tree_whose_target_lost_it_comes_back_from_the_other_and_a_full_one_follows(
    tmp_path: Path,
) -> None:
    world = World.make(tmp_path / "world", targets=("local", "second"))
    tree = world.root / "tree"
    tree.mkdir()
    world.settings["sources"] = {"app": {"type": "files", "path": "tree", "targets": ["local", "second"]}}
    for number, kind in enumerate(("full", "incremental", "incremental")):
        (tree / f"file {number}").write_text(f"content {number}")
        done = backed_up(world, kind)
        assert (done.code, done.json[0]["kind"]) == (0, kind)
    shutil.copytree(tree, world.root / "before")
    shutil.rmtree(world.target("local") / "app")
    (tree / "file 0").unlink()
    (tree / "file 3").write_text("content 3")
    full = backed_up(world).json[0]
    assert (full["kind"], full["committed"]) == ("full", {"local": 4, "second": 4})
    parent = f"app/{done.json[0]['backup_id']}/manifest.json"
    assert full["warnings"] == [f"full instead of incremental: unable to read '{parent}': it is not on target 'local'"]
    for which, expected in ((done.json[0]["backup_id"], "before"), (full["backup_id"], "tree")):
        assert world.run("restore", which, "--source", "app", "--to", world.root / f"{expected} again").code == 0
        assert_trees_equal(world.root / expected, world.root / f"{expected} again")
