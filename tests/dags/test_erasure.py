"""rlg_erasure: a request from the UI is on every target before the run succeeds; later restores and drills leave the
subject out. Nothing of it passes between tasks or into the log."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.dags.conftest import MakeWorld
from tests.support.airflow_home import run
from tests.support.forgotten import entries, forge, rows, with_erasures
from tests.support.world import World

pytestmark = pytest.mark.airflow


@pytest.fixture
def erasing(make_world: MakeWorld) -> World:
    world = with_erasures(make_world("local", "second"), column="email")
    world.settings["restore_folders"] = ["."]
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    return world


def test_a_request_is_on_every_target_and_later_restores_and_drills_leave_the_subject_out(erasing: World) -> None:
    erasing.back_up()
    subject = "thabo.nkosi@example.org"
    hashed = erasing.run("erase", "--subject", subject, "--print-hash", "--json").json["subject"]
    done = run("rlg_erasure", {"subject": hashed, "kind": "person", "reason": "gdpr-17"})
    assert done.state == "success", done.log
    assert [len(entries(erasing, target)) for target in ("local", "second")] == [1, 1]
    told = json.dumps([done.returned("record"), done.returned("outcome")]) + done.log
    assert [secret for secret in (subject, hashed, hashed.rpartition(":")[2]) if secret in told] == []

    to = str(erasing.root / "back.db")
    restored = run("rlg_restore", {"source": "app", "restore_point": "latest", "to": to})
    assert restored.state == "success", restored.log
    assert restored.returned("test")["erased"]["people"]["deleted"] == 1
    assert rows(erasing.root / "back.db", "SELECT count(*) FROM people WHERE id = 2") == [(0,)]
    drill = run("rlg_restore_drill")
    assert drill.state == "success", drill.log
    [block] = drill.returned("suites")
    assert (block["erased"]["people"]["deleted"], subject in json.dumps(block)) == (1, False)


def test_a_target_that_is_down_fails_the_run_which_names_it_and_not_the_subject(erasing: World) -> None:
    erasing.target("second").write_text("not a folder")
    done = run("rlg_erasure", {"subject": "thabo.nkosi@example.org", "kind": "person", "reason": "request"})
    assert done.state == "failed"
    assert "no target that can be read has an entry, and target 'second' was not read" in done.log
    assert "thabo" not in done.log


def test_a_backup_that_finds_the_ledger_gone_is_an_alert_and_no_failure(
    erasing: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert (
        run("rlg_erasure", {"subject": "nobody.else@example.org", "kind": "person", "reason": "request"}).state
        == "success"
    )
    erasing.back_up()
    for target in erasing.targets:
        shutil.rmtree(erasing.target(target) / "erasures")
    assert run("rlg_full_backup").state == "success"
    assert "ALERT rlg_full_backup has warnings" in caplog.text
    assert "the erasure ledger on target 'local' is not as it was: " in caplog.text


def test_a_request_that_is_nobodys_is_set_aside_in_a_restore_and_a_drill_which_then_do_not_succeed(
    erasing: World,
) -> None:
    erasing.back_up()
    forge(erasing, erasing.wiring().signing_key)
    there = {"source": "app", "to": str(erasing.root / "back.db")}
    aside = {"without_requests": "1", "without_reason": "stolen key"}
    said = "COULD-NOT-VERIFY: requests to erase set aside: 1: stolen key; whom they name may be here"
    restored = run("rlg_restore", {**there, **aside})
    assert (restored.state, said in restored.log) == ("failed", True)
    assert rows(erasing.root / "back.db", "SELECT count(*) FROM people") == [(3,)]
    drill = run("rlg_restore_drill", aside)
    assert (drill.state, "app: erasures/set aside: COULD-NOT-VERIFY" in drill.log) == ("failed", True)
