"""Who asked to be forgotten is in no restored copy of a backup that is older than the request."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from tests.support.forgotten import entries, erase, erased, execute, restored, rows, with_erasures
from tests.support.verbs import flip
from tests.support.world import EMAILS, PHONES, World, holds_any


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[str]]:
    """A full backup of three people and their orders, and one after it in which the second bought more."""
    world = with_erasures(World.make(tmp_path_factory.mktemp("erasures") / "world", targets=("local", "second")))
    full = world.back_up()
    execute(world.root / "app.db", "INSERT INTO orders (person, cents) VALUES (2, 5), (3, 6)")
    return world, [full, world.back_up(kind="incremental")]


@pytest.fixture
def world(template: tuple[World, list[str]], tmp_path: Path) -> World:
    return template[0].copy(tmp_path / "world")


@pytest.mark.parametrize("place", [0, 1], ids=["full", "chain"])
def test_a_subject_and_what_belongs_to_it_are_not_in_what_is_restored(
    world: World, template: tuple[World, list[str]], place: int
) -> None:
    erased(world, "2")
    done = restored(world, template[1][place])
    assert done.code == 0, done.out
    back, orders = world.root / "back.db", (33, 34)[place]
    assert rows(back, "SELECT id, email FROM people") == [(1, EMAILS[0]), (3, EMAILS[2])]
    assert rows(back, "SELECT count(*) FROM orders WHERE person = 2") == [(0,)]
    assert rows(back, "SELECT count(*) FROM orders") == [((100, 102)[place] - orders,)]
    assert done.json["erased"] == {
        "people": {"deleted": 1, "anonymized": 0, "places": {}},
        "orders": {"deleted": orders, "anonymized": 0, "places": {}},
    }
    assert done.json["rows"] == (103, 105)[place] - orders - 1
    told = {check["name"]: (check["measured"], check["expected"]) for check in done.json["checks"]}
    assert told["table people"] == (
        "2 rows; digest and definition equal",
        "2 rows, as at the snapshot less 1 erased",
    )
    assert "erased as requested: people: 1 deleted, 0 anonymized" in done.json["warnings"]
    assert holds_any(back.parent / "back.db", (EMAILS[1], PHONES[1])) == []
    assert EMAILS[1].encode() not in back.read_bytes(), "an erased row lies in the database's free pages"


def test_a_person_is_told_that_something_was_left_out(world: World) -> None:
    erased(world, "2")
    done = world.run("restore", "latest", "--to", world.root / "back.db")
    lines = done.out.splitlines()
    assert lines[0].endswith("70 rows, equal to the snapshot, without what was to be erased")
    assert "  note: erased as requested: people: 1 deleted, 0 anonymized" in lines


def test_without_a_request_all_comes_back(world: World) -> None:
    done = restored(world, "latest")
    assert (done.code, done.json["erased"]) == (0, {})
    assert rows(world.root / "back.db", "SELECT count(*) FROM people") == [(3,)]


def test_a_backup_after_the_live_data_was_erased_restores_as_it_was(world: World) -> None:
    erased(world, "2")
    execute(world.root / "app.db", "DELETE FROM orders WHERE person = 2", "DELETE FROM people WHERE id = 2")
    done = restored(world, world.back_up(kind="incremental"))
    assert (done.code, done.json["erased"]) == (0, {})
    record = json.loads(world.records()[-1].read_text())["signed"]
    assert record["erasures"]["length"] == 1


def test_a_request_is_idempotent_and_names_nobody(world: World) -> None:
    first, again, other = (erase(world, subject).json for subject in ("2", " 2 ", "3"))
    assert (first["new"], again["new"], other["new"]) == (True, False, True)
    assert (first["sequence"], again["sequence"], other["sequence"]) == (1, 1, 2)
    entry = json.loads((world.target() / "erasures" / "00000001.json").read_text())["signed"]
    assert set(entry) == {
        "type", "version", "sequence", "previous_sha256", "requested_at", "kind", "key", "subject", "reason",
    }  # fmt: skip
    assert (entry["kind"], entry["reason"], len(entry["subject"])) == ("person", "request", 64)
    assert world.run("erase", "--json").json["lengths"] == {"local": 2, "second": 2}


def test_a_hash_stands_for_the_subject(world: World) -> None:
    printed = world.run("erase", "--subject", "2", "--print-hash", "--json").json["subject"]
    assert world.run("erase", "--json").json["entries"] == []
    assert erase(world, printed).code == 0
    assert not erase(world, "2").json["new"]


def test_after_a_rotation_of_the_key_old_requests_are_replayed_and_not_repeated(world: World) -> None:
    erased(world, "2")
    settings = world.settings["erasure"]
    (world.root / "keys/shared/erasure.key").rename(world.root / "keys/old.key")
    made = world.run("keys", "generate", "erasure", "--out", world.root / "keys/shared/erasure.key")
    assert made.code == 0
    refused = restored(world, "latest")
    assert (refused.code, refused.json["error"]) == (2, "KeyUnavailable")
    settings["old_keys"] = ["file:keys/old.key"]
    world.save()
    assert not erase(world, "2").json["new"]
    erased(world, "3")
    assert restored(world, "latest").code == 0
    assert rows(world.root / "back.db", "SELECT id FROM people") == [(1,)]


def test_rows_that_stay_are_emptied(world: World) -> None:
    with_erasures(world, action="anonymize", columns=["email", "phone"], tables={})
    erased(world, "2")
    done = restored(world, "latest")
    assert done.code == 0, done.out
    [(number, email, phone, note)] = rows(world.root / "back.db", "SELECT * FROM people WHERE id = 2")
    assert (number, phone, note) == (2, None, "xylophone")
    assert re.fullmatch("erased-[0-9a-f]{16}", email)
    assert done.json["erased"] == {"people": {"deleted": 0, "anonymized": 1, "places": {}}}


def test_rows_that_stay_refer_to_nobody_any_more(world: World) -> None:
    with_erasures(world, tables={"orders": {"through": "person", "action": "anonymize", "columns": ["cents"]}})
    erased(world, "2")
    done = restored(world, "latest")
    assert done.code == 0, done.out
    assert rows(world.root / "back.db", "SELECT DISTINCT person FROM orders ORDER BY 1") == [(None,), (1,), (3,)]
    assert rows(world.root / "back.db", "SELECT count(*) FROM orders WHERE cents IS NULL") == [(34,)]


def test_what_belongs_to_rows_that_only_referred_to_erased_ones_stays(world: World) -> None:
    execute(
        world.root / "app.db",
        "CREATE TABLE claims (id INTEGER PRIMARY KEY, about INTEGER REFERENCES orders, told TEXT)",
        "CREATE TABLE answers (claim INTEGER NOT NULL REFERENCES claims, words TEXT)",
        "INSERT INTO claims SELECT id, id, 'told ' || id FROM orders",
        "INSERT INTO answers SELECT id, 'answer ' || id FROM claims",
    )
    tables: dict[str, dict[str, object]] = {
        "orders": {"through": "person"},
        "claims": {"through": "about", "of": "orders", "action": "anonymize", "columns": ["about"]},
        "answers": {"through": "claim", "of": "claims"},
    }
    with_erasures(world, tables=tables)
    world.back_up()
    erased(world, "2")
    assert restored(world, "latest", "others.db").code == 0
    counted = "SELECT (SELECT count(*) FROM answers), count(*), count(about), count(told) FROM claims"
    [(answers, claims, about, told)] = rows(world.root / "others.db", counted)
    assert (answers, claims, about, told) == (102, 102, 68, 102)
    tables["claims"]["columns"] = ["about", "told"]  # now a claim is the subject's own
    with_erasures(world, tables=tables)
    assert restored(world, "latest", "own.db").code == 0
    assert rows(world.root / "own.db", counted) == [(68, 102, 68, 68)]


@pytest.mark.parametrize("subject", ["2", "nobody"])
def test_a_table_that_nobody_decided_of_is_refused_before_anything_is_there(world: World, subject: str) -> None:
    with_erasures(world, tables={})
    erased(world, subject)
    done = restored(world, "latest")
    cause = {
        "2": "without what was to be erased, its rows break other foreign keys than in the source",
        "nobody": "its column 'person' refers to rows of 'people' that are deleted",
    }
    assert (done.code, done.json["error"]) == (2, "ErasureUndecided")
    assert done.json["message"] == f"unable to erase in 'orders': {cause[subject]}"
    assert not (world.root / "back.db").exists()


def test_a_table_that_is_saved_ahead_of_the_one_its_rows_belong_to_is_loaded_after_it(world: World) -> None:
    execute(
        world.root / "app.db",
        "CREATE TABLE stays (visit INTEGER, nights INTEGER)",
        "CREATE TABLE visits (id INTEGER PRIMARY KEY, member INTEGER)",
        "CREATE TABLE members (id INTEGER PRIMARY KEY, code TEXT)",
        "INSERT INTO members VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO visits VALUES (11, 1), (12, 2), (13, 2)",
        "INSERT INTO stays VALUES (11, 3), (12, 4), (13, 5)",
    )
    tables = {"visits": {"through": "member"}, "stays": {"through": "visit", "of": "visits"}}
    with_erasures(world, table="members", column="code", tables=tables)
    world.back_up()
    erased(world, "b")
    assert restored(world, "latest").code == 0
    assert rows(world.root / "back.db", "SELECT * FROM stays, visits, members") == [(11, 3, 11, 1, 1, "a")]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"table": "users"}, "unable to erase in 'users': the backup has no such table for 'person'"),
        ({"column": "uuid"}, "unable to erase in 'people.uuid': the backup has no such column"),
        (
            {"action": "anonymize", "columns": ["id"], "tables": {}},
            "unable to erase in 'people.id': it is of the primary key",
        ),
    ],
)
def test_rules_that_do_not_fit_the_backup_are_refused(world: World, rules: dict[str, object], text: str) -> None:
    with_erasures(world, **rules)
    erased(world, "2")
    done = restored(world, "latest")
    assert (done.code, done.json["error"], done.json["message"]) == (2, "ErasureUndecided", text)
    assert not (world.root / "back.db").exists()


def test_a_masked_key_finds_nobody_and_is_refused(world: World) -> None:
    world.source["policies"] = {"people.email": "hash", "people.phone": "tokenize"}
    with_erasures(world, column="email")
    world.back_up()
    erased(world, EMAILS[1])
    done = restored(world, "latest", "back.db", "--accept-masked")
    cause = "it is masked for ever in this backup, so that nobody is found by it"
    assert (done.code, done.json["message"]) == (2, f"unable to erase in 'people.email': {cause}")


def test_a_tokenized_key_finds_the_subject(world: World) -> None:
    with_erasures(world, column="email")
    erased(world, EMAILS[1])
    assert restored(world, "latest").code == 0
    assert rows(world.root / "back.db", "SELECT id FROM people") == [(1,), (3,)]


def test_requests_of_a_kind_that_is_not_configured_are_no_reason_to_restore_them(world: World) -> None:
    erased(world, "2")
    del world.settings["erasure"]
    world.save()
    done = restored(world, "latest")
    cause = "the erasure ledger has requests of the kind 'person', which 'erasure.subjects' does not have"
    assert (done.code, done.json["message"]) == (2, f"unable to restore 'app': {cause}")


def test_a_drill_replays_and_says_so(world: World) -> None:
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    erased(world, "2")
    done = world.run("drill", "--json")
    assert done.code == 0, done.out
    [block] = done.json["sources"]
    assert block["erased"]["people"]["deleted"] == 1
    told = {check["name"]: check["measured"] for check in block["checks"] if check["group"] == "erasures"}
    assert told == {"ledger": "1 requests replayed"}
    flip(entries(world, "second")[0], 100)
    again = world.run("drill", "--json")
    assert again.code == 3, again.out
    checks = {check["name"]: check["verdict"] for check in again.json["sources"][0]["checks"]}
    assert (checks["ledger"], checks["ledger on second"]) == ("PASS", "COULD-NOT-VERIFY")


def test_a_request_after_a_backup_that_finds_nothing_in_it_is_told_by_its_number(world: World) -> None:
    erased(world, "2", "007", "nobody")
    why = "see that their keys were given as the column holds them"
    told = f"erasures: requests of kind 'person' that find nothing here: 2-3: {why}"
    done = restored(world, "latest")
    assert done.code == 0, done.out
    assert told in done.json["warnings"]
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    assert told in world.run("drill", "--json").json["sources"][0]["warnings"]
    time.sleep(2.1)  # the times of requests are exact to a second
    world.back_up()
    later = restored(world, "latest", "later.db").json["warnings"]
    assert [one for one in later if "find nothing" in one] == [], "they are no more there, as it should be"


def test_a_masked_copy_is_without_the_subject_too(world: World) -> None:
    erased(world, "2")
    done = restored(world, "latest", "dev.db", "--fidelity", "masked")
    assert done.code == 0, done.out
    found = rows(world.root / "dev.db", "SELECT id, email FROM people")
    assert ([number for number, _ in found], [email in EMAILS for _, email in found]) == ([1, 3], [False, False])


@pytest.fixture
def tree(tmp_path: Path) -> World:
    """Uploads of three people, by their ids; the second's picture has another name elsewhere."""
    world = World.make(tmp_path / "world")
    root = world.root / "tree"
    for number in (1, 2, 3):
        folder = root / "uploads" / str(number) / "old"
        folder.mkdir(parents=True)
        (folder / "letter.txt").write_text(f"of {number}")
        (root / "uploads" / f"{number}.png").write_bytes(b"picture %d" % number)
    (root / "z").mkdir()
    (root / "z" / "latest.png").hardlink_to(root / "uploads" / "2.png")
    (root / "2").write_text("not of a person")
    world.settings["sources"] = {"app": {"type": "files", "path": "tree", "targets": ["local"]}}
    world.settings["erasure"] = {
        "key": "file:keys/shared/erasure.key",
        "subjects": {"person": {"app": {"files": ["uploads/{key}/**", "uploads/{key}.png"]}}},
    }
    world.save()
    return world


@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_a_subjects_files_are_not_in_a_restored_tree(tree: World, kind: str) -> None:
    tree.back_up()
    if kind == "incremental":
        (tree.root / "tree" / "uploads" / "2" / "new.txt").write_text("more")
        tree.back_up(kind=kind)
    erased(tree, "2")
    done = restored(tree, "latest", "back")
    assert done.code == 0, done.out
    left = sorted(str(path.relative_to(tree.root / "back")) for path in (tree.root / "back").rglob("*"))
    assert [path for path in left if "2" in path or "latest" in path] == ["2"]
    assert "uploads/1/old/letter.txt" in left
    deleted = {"full": 5, "incremental": 6}[kind]
    assert done.json["erased"] == {"files and folders": {"deleted": deleted, "anonymized": 0, "places": {}}}


def test_with_a_folder_goes_what_is_in_it(tree: World) -> None:
    tree.settings["erasure"]["subjects"]["person"]["app"]["files"] = ["uploads/{key}"]
    tree.save()
    tree.back_up()
    erased(tree, "2")
    done = restored(tree, "latest", "back")
    assert done.code == 0, done.out
    assert sorted(path.name for path in (tree.root / "back" / "uploads").iterdir()) == [
        "1",
        "1.png",
        "2.png",
        "3",
        "3.png",
    ]
    assert done.json["erased"]["files and folders"]["deleted"] == 3


@pytest.mark.parametrize("pattern", ["uploads/{key}", "uploads/{key}/**"])
def test_further_names_of_a_subjects_file_go_wherever_they_sort(tree: World, pattern: str) -> None:
    """One that sorts ahead of it is the file, as the index has it, and the subject's is a link to that."""
    tree.settings["erasure"]["subjects"]["person"]["app"]["files"] = [pattern]
    tree.save()
    root = tree.root / "tree"
    (root / "a").mkdir()
    for name in ("a/first.txt", "z/last.txt"):
        (root / name).hardlink_to(root / "uploads/2/old/letter.txt")
    tree.back_up()
    erased(tree, "2")
    done = restored(tree, "latest", "back")
    assert done.code == 0, done.out
    left = {str(path.relative_to(tree.root / "back")) for path in (tree.root / "back").rglob("*")}
    assert left & {"a/first.txt", "z/last.txt", "uploads/2"} == set()
    assert {"a", "z/latest.png", "uploads/2.png", "uploads/1/old/letter.txt"} <= left
