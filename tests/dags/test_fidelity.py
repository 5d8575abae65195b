"""rlg_restore: a copy for development, and a backup that is masked for ever, are asked for in the form."""

from __future__ import annotations

import pytest
from tests.support.airflow_home import run
from tests.support.world import EMAILS, World, dump

pytestmark = pytest.mark.airflow


def test_the_form_asks_for_a_masked_copy_and_for_what_is_masked_for_ever(world: World) -> None:
    world.settings["restore_folders"] = ["."]
    world.save()
    world.back_up()
    copy, back = world.root / "copy.db", world.root / "back.db"
    done = run("rlg_restore", {"source": "app", "to": str(copy), "fidelity": "masked"})
    assert (done.state, done.errors) == ("success", {})
    assert "@example.invalid" in dump(copy)
    assert [email for email in EMAILS if email in dump(copy)] == []
    world.source["policies"] = {"people.email": "hash", "people.phone": "tokenize"}
    world.save()
    world.back_up()
    refused = run("rlg_restore", {"source": "app", "to": str(back)})
    assert refused.error("choose") == (
        "AirflowFailException",
        f"MaskedRefused: unable to restore to '{back}': the backup is masked for ever in people.email: "
        "it cannot stand in for the source\nhint: where that is known and fine, say --accept-masked (accept_masked)",
    )
    accepted = run("rlg_restore", {"source": "app", "to": str(back), "accept_masked": True})
    assert (accepted.state, accepted.errors) == ("success", {})
