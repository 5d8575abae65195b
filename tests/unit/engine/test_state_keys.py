"""The keys of change state: apart from those of archives, in the doctor's words and in the errors of a run."""

from __future__ import annotations

import pytest
from tests.support.world import World

from rlg_backup.cli.setup_commands import KEY_FILES
from rlg_backup.core.errors import BackupError, InvalidSetting, KeyUnavailable
from rlg_backup.core.model import Verdict
from rlg_backup.engine.doctor import examine
from rlg_backup.format.age import generate_identity


@pytest.fixture(autouse=True)
def no_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # the doctor would ask it for its pools


def told(world: World) -> tuple[Verdict, str]:
    world.save()
    [check] = [check for check in examine(world.wiring()) if check.name == "change state"]
    return check.verdict, check.measured


def refused(world: World, name: str) -> tuple[type[BackupError], str]:
    world.save()
    with pytest.raises(BackupError) as caught:
        getattr(world.wiring(), name)
    return type(caught.value), str(caught.value)


def copied(world: World, what: str) -> str:
    """A copy of a key under another name, so that its reference is another."""
    copy = world.root / "keys" / "copy.txt"
    copy.touch(mode=0o600)
    copy.write_text((world.root / "keys" / KEY_FILES[what]).read_text())
    return "file:keys/copy.txt"


def test_a_project_as_init_makes_it_has_a_state_identity_that_opens_no_archive(world: World) -> None:
    assert told(world) == (Verdict.PASS, "1 recipients, 1 identities here, which open no archive")
    wiring = world.wiring()
    assert [one.recipient.id for one in wiring.state_identities] == [one.id for one in wiring.state_recipients]


def test_without_change_state_every_backup_is_a_full_one_and_no_fault(world: World) -> None:
    del world.settings["change_state"]
    assert told(world) == (Verdict.PASS, "none is kept: every backup is a full one")
    assert world.wiring().state_recipients == []
    hint = "hint: set change_state.identities on backup workers"
    assert refused(world, "state_identities") == (
        KeyUnavailable,
        f"unable to open 'change_state.identities': no identity is configured here\n{hint}",
    )


def test_a_recipient_that_archives_have_is_refused(world: World) -> None:
    file = world.root / "public.txt"
    file.write_text(world.public["identity"])
    world.settings["change_state"]["recipients"] = ["file:public.txt"]
    [archive] = [one.id for one in world.wiring().recipients if one.text == world.public["identity"]]
    text = (
        f"unable to use 'change_state.recipients': archives are encrypted to {archive}, too, so that a backup worker "
        "could open them\nhint: make one of its own: rlg-backup keys generate state"
    )
    assert refused(world, "state_recipients") == (InvalidSetting, text)
    assert told(world) == (Verdict.FAIL, text)


def test_an_identity_that_opens_archives_is_refused(world: World) -> None:
    world.settings["change_state"]["identities"] = [copied(world, "escrow")]
    [archive] = [one.id for one in world.wiring().recipients if one.text == world.public["escrow"]]
    text = (
        f"unable to use 'change_state.identities': archives are encrypted to {archive}, too, so that a backup worker "
        "could open them\nhint: make one of its own: rlg-backup keys generate state"
    )
    assert refused(world, "state_identities") == (InvalidSetting, text)
    assert told(world) == (Verdict.FAIL, text)


def test_an_identity_of_older_archives_is_found_where_it_lies(world: World) -> None:
    """Nothing is encrypted to it any more, and old archives are."""
    world.settings["encryption"]["recipients"] = [world.public["escrow"]]
    world.settings["change_state"]["identities"] = [copied(world, "identity")]
    assert told(world) == (
        Verdict.FAIL,
        "an identity of change_state is one of encryption.identities, too: give backup workers another",
    )


def test_a_state_that_nobody_here_reads_is_told(world: World) -> None:
    world.settings["change_state"]["recipients"] = [generate_identity(post_quantum=False).recipient.text]
    assert told(world) == (Verdict.FAIL, "no identity here opens what is encrypted to change_state.recipients")
    world.settings["change_state"]["identities"] = []
    assert told(world) == (Verdict.PASS, "1 recipients, no identity here (this worker makes full backups only)")
