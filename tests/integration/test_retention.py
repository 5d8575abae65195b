"""expire, hold and drills over real backups: what was kept restores to what was backed up, and who may sign what."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.support.world import World, dump

from rlg_backup.format.keys import SigningKey

AGES = (130, 128, 100, 70, 69, 40, 10, 9)
KINDS = ("full", "incremental", "full", "full", "incremental", "full", "full", "incremental")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, str]]:
    """Backups of five months, and the source as it was at each; what is marked may go at once."""
    world = World.make(tmp_path_factory.mktemp("retention") / "world", targets=("local", "second"))
    world.source["path"] = str(world.root / "app.db")
    world.settings["retention"] = {"grace": "0 days"}
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    states = {}
    for days, kind in zip(AGES, KINDS, strict=True):
        connection = sqlite3.connect(world.root / "app.db")
        connection.execute("INSERT INTO orders (person, cents) VALUES (1, ?)", (days,))
        connection.commit()
        connection.close()
        states[world.back_up_ago(days, kind=kind)] = dump(world.root / "app.db")
    return world, states


@pytest.fixture
def aged(template: tuple[World, dict[str, str]], tmp_path: Path) -> tuple[World, dict[str, str]]:
    return template[0].copy(tmp_path / "world"), template[1]


def expire(world: World, *more: str) -> dict[str, dict[str, str]]:
    """Target > backup > what became of it."""
    done = world.run("expire", "--json", *more)
    assert done.code == 0, done.out
    return {
        one["target"]: {point["backup_id"]: point["action"] for point in one["restore_points"]} for one in done.json
    }


def test_every_backup_that_was_kept_restores_to_what_was_backed_up(aged: tuple[World, dict[str, str]]) -> None:
    world, states = aged
    names = list(states)
    held = world.run("hold", names[1], "--reason", "claim 7", "--json").json
    assert held["targets"] == ["local", "second"]
    expected = ["stays", "stays", "is marked", "stays", "is marked", "stays", "stays", "stays"]
    assert expire(world) == {target: dict(zip(names, expected, strict=True)) for target in ("local", "second")}
    expire(world)
    kept = [point["backup_id"] for point in world.run("list", "--json").json]
    assert kept == [name for name, action in zip(names, expected, strict=True) if action == "stays"]
    for number, name in enumerate(kept):
        place = world.root / f"restored-{number}.db"
        for target in ("local", "second"):
            verified = world.run("verify", name, "--target", target, "--full")
            assert verified.code == 0, verified.out
        assert world.run("restore", name, "--to", place).code == 0
        assert dump(place) == states[name]
    folders = {path.name for path in (world.target() / "app").iterdir()}
    assert folders == set(kept)


def test_a_target_that_keeps_for_longer_is_the_archive_of_the_others(aged: tuple[World, dict[str, str]]) -> None:
    world, states = aged
    world.settings["retention"]["targets"] = {"second": {"full": "7 years", "incremental": "7 years"}}
    world.save()
    for _ in ("marks", "removes", "finds gone"):
        found = expire(world)
    oldest = next(iter(states))
    assert oldest not in found["local"]
    assert set(found["second"].values()) == {"stays"} and list(found["second"]) == list(states)
    place = world.root / "restored.db"
    assert world.run("restore", oldest, "--to", place).code == 0
    assert dump(place) == states[oldest]


def test_the_dry_run_says_of_each_backup_why_it_stays_or_goes(aged: tuple[World, dict[str, str]]) -> None:
    world, states = aged
    before = world.objects()
    done = world.run("expire", "app", "--dry-run", "--target", "local")
    lines = {line.split()[0]: " ".join(line.split()) for line in done.out.splitlines() if line[:2] == "20"}
    first, _, _, parent, child, *_, last = states
    assert "is marked goes after" in lines[first]
    assert lines[first].endswith("older than 3 months")
    assert "stays taken" in lines[parent]
    assert lines[child].endswith("older than 1 month")
    assert lines[last].endswith("not older than 1 month; the newest that can be restored")
    assert world.objects() == before


def test_a_drill_that_passed_keeps_its_backup(aged: tuple[World, dict[str, str]]) -> None:
    world, states = aged
    done = world.run("drill")
    assert "is not on record" not in done.out
    assert world.wiring().catalog("local", "app").state().drilled is not None
    newest = list(states)[-1]
    found = world.run("expire", "--dry-run", "--json").json[0]["restore_points"][-1]
    assert found["backup_id"] == newest
    assert any(reason.startswith("the last one drilled, ") for reason in found["reasons"])


def test_an_expiry_is_undone_by_holding_the_backup(aged: tuple[World, dict[str, str]]) -> None:
    world, states = aged
    oldest = next(iter(states))
    expire(world)
    done = world.run("expire", "--undo", oldest, "--reason", "the audit needs it")
    assert done.code == 0, done.err
    assert expire(world)["local"][oldest] == "stays"
    assert world.run("verify", oldest).code == 0
    again = world.run("expire", "--undo", oldest, "--reason", "once more")
    assert (again.code, again.err.splitlines()[0]) == (
        2,
        f"error: unable to undo the expiry of '{oldest}': it is not marked",
    )


def test_where_retention_has_a_key_of_its_own_no_backup_worker_signs_an_expiry_and_it_signs_no_backup(
    aged: tuple[World, dict[str, str]],
) -> None:
    world, states = aged
    key = SigningKey.generate()
    world.settings["retention"]["trusted"] = [key.signer.text]
    world.save()
    refused = world.run("expire", "app", "--target", "local")
    maker = world.wiring().signing_key.key_id
    assert (refused.code, f"it is signed by {maker}, which is not trusted" in refused.out) == (1, True)
    (world.root / "keys" / "retention.key").write_text(key.text + "\n")
    (world.root / "keys" / "retention.key").chmod(0o600)
    world.settings["signing"]["key"] = "file:keys/retention.key"
    world.save()
    assert expire(world, "--target", "local")["local"][next(iter(states))] == "is marked"
    told = {check["name"]: check for check in world.run("doctor", "--json").json["checks"]}
    assert told["signing key"]["measured"] == f"{key.key_id}, trusted for retention documents only"
    backup = world.run("backup", "--source", "app")
    assert backup.code == 1
    assert f"it is signed by {key.key_id}, which is not trusted" in backup.err
    assert world.run("verify", "latest").code == 0


def test_doctor_tells_how_backups_stand_and_which_should_be_gone(aged: tuple[World, dict[str, str]]) -> None:
    world, _ = aged
    expire(world)
    world.run("hold", "--subject", "claim-7", "--reason", "ordered", "--source", "app")
    expire(world, "--target", "second")
    told = {check["group"]: check for check in world.run("doctor", "--json").json["checks"]}["retention"]
    assert (told["verdict"], told["measured"]) == (
        "PASS",
        "local: 8 restore points, 0 marked, 1 holds; second: 8 restore points, 0 marked, 1 holds",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hold", "2026"), "Error: a hold needs a --reason"),
        (("hold", "2026", "--subject", "case", "--reason", "x"), "Error: name one of: a backup, --subject, --release"),
        (("hold", "--release", "2026", "--reason", "x"), "has no hold whose id begins so"),
        (("hold", "19990101", "--reason", "x"), "lists no such backup"),
        (("expire", "--undo", "19990101"), "Error: --undo needs a --reason"),
        (("expire", "--undo", "19990101", "--reason", "two\nlines"), "write one line of at most 300 characters"),
        (("expire", "nobody"), "the configuration has no source of that name"),
    ],
)
def test_what_cannot_be_meant_is_refused(aged: tuple[World, dict[str, str]], words: tuple[str, ...], said: str) -> None:
    done = aged[0].run(*words)
    assert (done.code, said in done.err) == (2, True), done.err
