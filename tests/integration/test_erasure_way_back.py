"""Neither a stolen signing key nor a lost erasure key ends restores for good: what is nobody's is set aside, and said;
and a key that was stolen can be withdrawn from the ledger."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from tests.support.forgotten import entries, erase, erased, forge, restored, rows, with_erasures
from tests.support.world import World

from rlg_backup.format.keys import ErasureKey, SigningKey

WHY = ("--reason", "the worker's key was stolen")
NO_NUMBER = "it is no number of a request, as 7 or 7-12 is"
SAID = "requests to erase set aside: {}: the worker's key was stolen; whom they name may be here"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A backup on two targets, then the request of the second person."""
    root = tmp_path_factory.mktemp("way-back") / "world"
    world = with_erasures(World.make(root, targets=("local", "second")))
    world.back_up()
    erased(world, "2")
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    return template.copy(tmp_path / "world")


def stolen(world: World) -> SigningKey:
    return world.wiring().keys.signing_key("file:keys/backup-worker/signing.key")


def people(world: World, code: int, *more: str) -> list[int]:
    done = restored(world, "latest", "back.db", *more)
    assert done.code == code, done.out + done.err
    found = [number for (number,) in rows(world.root / "back.db", "SELECT id FROM people")]
    (world.root / "back.db").unlink()
    return found


def hint(number: str) -> str:
    return (
        f"where {number} is nobody's, or its key is lost, set it aside with --without-request {number} "
        "(docs/runbooks/erasure.md)"
    )


NOBODYS = {
    "key": (
        {"key": "0" * 16},
        "unable to replay 'erasure ledger': requests of the kind 'person' are hashed under the erasure key "
        "0000000000000000, which is not here",
        f"name it under erasure.old_keys; {hint('2')}",
    ),
    "kind": (
        {"kind": "zzz"},
        "unable to restore 'app': the erasure ledger has requests of the kind 'zzz', which 'erasure.subjects' does not "
        "have",
        f"docs/configuration.md shows 'erasure'; {hint('2')}",
    ),
}


@pytest.mark.parametrize("what", NOBODYS)
def test_a_request_that_is_nobodys_is_set_aside_and_the_others_are_replayed(
    world: World, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    made, message, way = NOBODYS[what]
    assert forge(world, stolen(world), **made) == 2
    done = restored(world, "latest")
    assert (done.json["message"], done.json["hint"]) == (message, way)
    with caplog.at_level(logging.WARNING, "rlg_backup"):
        done = restored(world, "latest", "back.db", "--without-request", "2", *WHY)
    assert (done.code, done.json["verdict"]) == (3, "COULD-NOT-VERIFY"), done.out
    assert SAID.format("2") in done.json["warnings"]
    assert f"restore of 'app' to '{world.root / 'back.db'}': {SAID.format('2')}" in caplog.text
    assert rows(world.root / "back.db", "SELECT id FROM people") == [(1,), (3,)]


def test_with_a_lost_erasure_key_its_requests_are_set_aside(world: World) -> None:
    erased(world, "3")
    (world.root / "keys/shared/erasure.key").write_text(ErasureKey.generate().text)
    assert restored(world, "latest").json["hint"] == f"name it under erasure.old_keys; {hint('1-2')}"
    assert people(world, 3, "--without-request", "1-2", *WHY) == [1, 2, 3]
    erased(world, "3")
    assert people(world, 3, "--without-request", "1-2", *WHY) == [1, 2]


def test_no_backup_and_no_machine_vouches_for_what_is_nobodys(world: World) -> None:
    """Taken away by hand, as it may be where nothing is locked, it is missed by nobody."""
    forge(world, stolen(world))
    assert restored(world, "latest").code == 2
    done = world.run("backup", "--source", "app", "--json")
    why = "its last 1 entries are of a kind or under an erasure key that is not known here"
    assert (done.code, done.json[0]["warnings"][-2:]) == (
        0,
        [f"the erasure ledger on target '{target}' is not as it was: {why}" for target in ("local", "second")],
    )
    for target in ("local", "second"):
        entries(world, target)[1].unlink()
    assert people(world, 0) == [1, 3]
    shutil.rmtree(world.root / "state")
    assert people(world, 0) == [1, 3]


def test_what_is_set_aside_may_be_damaged_or_gone_on_every_target_and_nothing_else_may(world: World) -> None:
    erased(world, "3", "1")
    for target in ("local", "second"):
        entries(world, target)[1].write_bytes(b"rot")
    assert restored(world, "latest").code == 1
    assert people(world, 3, "--without-request", "2", *WHY) == [3]
    for target in ("local", "second"):
        entries(world, target)[1].unlink()
    assert people(world, 3, "--without-request", "2", *WHY) == [3]
    assert restored(world, "latest", "back.db", "--without-request", "1", *WHY).json["error"] == "LedgerShort"


def test_the_last_one_may_be_gone_although_this_machine_knows_of_it(world: World) -> None:
    erased(world, "3")
    for target in ("local", "second"):
        entries(world, target)[1].unlink()
    assert restored(world, "latest").json["error"] == "LedgerShort"
    assert people(world, 3, "--without-request", "2", *WHY) == [1, 3]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("--without-request", "2"),
            "unable to set aside '00000002': a reason of 1 to 200 characters, in one line, is to be given",
        ),
        (
            ("--without-request", "all", *WHY),
            "unable to set aside 'all': it is no number of a request, as 7 or 7-12 is",
        ),
        (
            ("--without-request", "3-2", *WHY),
            "unable to set aside '3-2': it is no number of a request, as 7 or 7-12 is",
        ),
    ],
)
def test_nothing_is_set_aside_without_a_number_and_a_reason(world: World, words: tuple[str, ...], text: str) -> None:
    done = restored(world, "latest", "back.db", *words)
    assert (done.code, done.json["message"]) == (2, text)
    assert not (world.root / "back.db").exists()


def test_a_drill_without_a_request_is_never_green(world: World) -> None:
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    forge(world, stolen(world))
    assert "backup_id" not in world.run("drill", "--json").json["sources"][0]
    done = world.run("drill", "--without-request", "2", *WHY, "--json")
    assert (done.code, done.json["verdict"]) == (3, "COULD-NOT-VERIFY"), done.out
    [block] = done.json["sources"]
    checks = {check["name"]: (check["verdict"], check["measured"]) for check in block["checks"]}
    assert checks["set aside"] == ("COULD-NOT-VERIFY", SAID.format("2"))
    assert checks["ledger"] == ("PASS", "1 requests replayed")
    assert "requests to erase set aside: 2: the worker" in Path(done.json["html"]).read_text()


def key_of(world: World, name: str) -> SigningKey:
    """A signing key of its own, in a file, which signs here from now on."""
    key = SigningKey.generate()
    place = world.root / "keys" / name
    place.write_text(key.text)
    place.chmod(0o600)
    world.settings["signing"]["key"] = f"file:keys/{name}"
    return key


def test_where_requests_have_a_signer_of_their_own_no_backup_worker_signs_one_and_it_signs_nothing_else(
    world: World,
) -> None:
    worker = world.settings["signing"]["key"]
    officer = key_of(world, "officer.key")
    world.settings["erasure"]["trusted"] = [officer.signer.text, stolen(world).signer.text]
    world.save()
    erased(world, "3")
    world.settings["erasure"]["trusted"] = [officer.signer.text]
    world.save()
    assert people(world, 0) == [1]
    assert "which is not trusted" in world.run("backup", "--source", "app").err
    world.settings["signing"]["key"] = worker
    world.save()
    world.back_up()
    done = erase(world, "1")
    assert (done.code, done.json["error"]) == (1, "SignerUnknown")
    assert len(entries(world)) == 2


def test_a_stolen_key_is_withdrawn_once_another_signed_behind_it_and_signs_no_more(world: World) -> None:
    """What the stolen key signed before stays believed, for the later entry names it."""
    thief = stolen(world)
    officer = key_of(world, "officer.key")
    world.settings["erasure"]["trusted"] = [thief.signer.text, officer.signer.text]
    world.save()
    erased(world, "3")
    world.settings["erasure"]["trusted"] = [officer.signer.text]
    world.save()
    assert people(world, 0) == [1]
    erased(world, "1")
    assert forge(world, thief, key=world.wiring().erasure_keys[0].key_id) == 4
    done = restored(world, "latest")
    assert (done.code, done.json["error"]) == (1, "SignerUnknown")
    assert people(world, 3, "--without-request", "4", *WHY) == []
    for target in ("local", "second"):
        entries(world, target)[3].unlink()
    assert people(world, 0) == []
