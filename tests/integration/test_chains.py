"""A chain on the command line: shown, verified, and restored as of a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.chain import chained_world, make
from tests.support.verbs import flip
from tests.support.world import World, dump

from rlg_backup.core.model import Kind
from rlg_backup.engine.archives import ARCHIVE

KINDS = {"full": Kind.FULL, "first": Kind.INCREMENTAL, "newest": Kind.INCREMENTAL, "differential": Kind.DIFFERENTIAL}


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, str]]:
    return chained_world(tmp_path_factory.mktemp("chain") / "world", KINDS)


@pytest.fixture
def ids(chained: tuple[World, dict[str, str]]) -> dict[str, str]:
    return chained[1]


@pytest.fixture
def world(chained: tuple[World, dict[str, str]], tmp_path: Path) -> World:
    return chained[0].copy(tmp_path / "world")


def test_list_says_of_which_kind_each_restore_point_is(world: World, ids: dict[str, str]) -> None:
    listed = world.run("list", "--json").json
    assert {point["backup_id"]: point["kind"] for point in listed} == {ids[name]: KINDS[name] for name in ids}
    assert [line.split()[2] for line in world.run("list").out.splitlines()[1:]] == list(KINDS.values())


def test_show_gives_the_chain_with_the_full_one_first(world: World, ids: dict[str, str]) -> None:
    for name, chain in (
        ("newest", ["full", "first", "newest"]),
        ("differential", ["full", "differential"]),
        ("full", ["full"]),
    ):
        shown = world.run("show", ids[name], "--json").json
        assert [link["backup_id"] for link in shown["chain"]] == [ids[one] for one in chain]
        assert [link["kind"] for link in shown["chain"]] == [KINDS[one] for one in chain]
        assert {link["target"] for link in shown["chain"]} == {"local"}
        assert shown["chain"][-1]["bytes"] == shown["manifest"]["archives"][0]["size"]
        assert shown["chain"][-1]["time"] == shown["manifest"]["snapshot"]["taken_at"]
        assert shown["fault"] is None
    table = world.run("show", ids["newest"]).out.splitlines()[-4:]
    assert table[0].split() == ["ID", "KIND", "TIME", "BYTES", "TARGET"]
    assert [line.split()[0] for line in table[1:]] == [ids[name] for name in ("full", "first", "newest")]
    assert re.fullmatch(r"\S+ +full +\S+Z +[\d,]+ +local *", table[1])


def test_show_takes_an_ancestor_from_another_target_where_it_must(world: World, ids: dict[str, str]) -> None:
    flip(world.target() / "app" / ids["first"] / "manifest.json", 100)
    chain = world.run("show", ids["newest"], "--json").json["chain"]
    assert [link["target"] for link in chain] == ["local", "second", "local"]


def test_show_of_a_broken_chain_says_what_is_wrong_and_still_shows_the_point(world: World, ids: dict[str, str]) -> None:
    for target in ("local", "second"):
        flip(world.target(target) / "app" / ids["first"] / "manifest.json", 100)
    text = f"unable to verify 'app/{ids['first']}/manifest.json': its SHA-256 is not the one that was committed"
    done = world.run("show", ids["newest"])
    assert (done.code, done.out.splitlines()[-1]) == (1, f"its chain is broken: {text}")
    done = world.run("show", ids["newest"], "--json")
    assert (done.code, done.json["chain"], done.json["fault"]["message"]) == (1, None, text)
    assert done.json["manifest"]["backup_id"] == ids["newest"]


def checks(world: World, which: str, *more: str) -> dict[str, tuple[str, str]]:
    done = world.run("verify", which, "--json", *more)
    return {check["group"]: (check["verdict"], check["measured"]) for check in done.json["checks"]}


def test_verify_looks_for_every_ancestor_on_the_same_target(world: World, ids: dict[str, str]) -> None:
    told = f"2 on target 'local', down to the full backup '{ids['full']}'"
    assert checks(world, ids["newest"])["chain"] == ("PASS", told)
    assert "chain" not in checks(world, ids["full"])
    (world.target() / "app" / ids["full"] / ARCHIVE).unlink()
    text = f"unable to read 'app/{ids['full']}/default.zip.age': it is not on target 'local'"
    assert checks(world, ids["newest"])["chain"] == ("FAIL", text)
    assert checks(world, ids["newest"], "--target", "second")["chain"][0] == "PASS"


def test_verify_fails_where_an_ancestor_was_made_again_under_its_name(world: World, ids: dict[str, str]) -> None:
    flip(world.target() / "app" / ids["first"] / "manifest.json", 100)
    text = f"unable to verify 'app/{ids['first']}/manifest.json': its SHA-256 is not the one that was committed"
    assert checks(world, ids["newest"])["chain"] == ("FAIL", text)


# --- restore as of a time ---------------------------------------------------------------------------


def test_a_restore_as_of_a_time_takes_the_newest_that_is_not_after_it(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    start = datetime(2026, 11, 20, 2, 0, 0, 500_000, UTC)
    made = [make(world.wiring(clock=lambda day=day: start + timedelta(days=day)), Kind.FULL) for day in range(3)]  # type: ignore[misc]
    for time, expected in (
        ("2026-11-21T02:00:01Z", made[1]),
        ("2026-11-21T02:00:00", made[0]),  # its snapshot was not taken yet: a time is rounded up
        ("2026-11-22T01:59:59+00:00", made[1]),
        ("2026-12-01", made[2]),
    ):
        place = world.root / f"{time}.db"
        done = world.run("restore", "--as-of", time, "--to", place, "--json")
        assert (done.code, done.json["backup_id"]) == (0, expected)
        assert dump(place) == dump(world.root / "app.db")
    early = world.run("restore", "--as-of", "2026-11-01", "--to", world.root / "x.db")
    assert (early.code, early.err) == (
        2,
        "error: unable to find '2026-11-01T00:00:00+00:00': source 'app' has no backup on local that old\n"
        "hint: 'rlg-backup list' shows what there is\n",
    )


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["latest", "--as-of", "2026-11-23"], "name a backup, or a time with --as-of, not both"),
        (["--as-of", "yesterday"], "'yesterday' is no time, as 2026-11-23T14:00:00Z is"),
        (["--as-of", "20261123"], "'20261123' is no time, as 2026-11-23T14:00:00Z is"),
    ],
)
def test_a_time_stands_alone_and_is_one(world: World, arguments: list[str], cause: str) -> None:
    done = world.run("restore", *arguments, "--to", world.root / "x.db")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].endswith(cause)
    assert not (world.root / "x.db").exists()


def test_a_drill_restores_the_newest_point_and_its_report_names_the_chain(world: World, ids: dict[str, str]) -> None:
    world.settings["drill"] = {
        "scratch": "scratch",
        "reports": "reports",
        "identities": ["file:keys/restore-worker/identity.txt"],
    }
    world.save()
    done = world.run("drill", "--json")
    assert done.code == 0, done.out + done.err
    (source,) = done.json["sources"]
    assert source["chain"] == [ids["full"], ids["differential"]]
