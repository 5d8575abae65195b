"""Two hosts, each with its own staging and its own memory, one target: only who holds the lease commits."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.crash.aftermath import Project, everything_listed_restores, staging_is_clean
from tests.support import victim
from tests.support.victim import VERBS, Doom
from tests.support.world import World

SEED = int(os.environ.get("RLG_SEED", "20261125"))
TARGETS = {"local", "second"}


@dataclass(frozen=True)
class Hosts:
    """The same source and targets, configured on both."""

    one: Project
    other: Project

    def sound(self) -> set[tuple[str, str]]:
        """Both hosts list the same, and all of it restores."""
        listed = everything_listed_restores(self.one)
        assert listed == everything_listed_restores(self.other)
        return listed


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    one = World.make(tmp_path / "one", targets=("local", "second"))
    for name in TARGETS:
        one.settings["targets"][name]["path"] = str(one.target(name))
    one.source["path"] = str(one.root / "app.db")
    one.save()
    other = one.copy(tmp_path / "other")
    other.save()
    return Hosts(Project(one, "app", tmp_path), Project(other, "app", tmp_path))


def said(started: Any) -> tuple[str, Any, int]:
    """What a process that was not killed came to."""
    done = victim.finish(started)
    assert done is not None
    return done


def committed(host: Project, targets: set[str] = TARGETS, **given: Any) -> str:
    """A backup that must succeed, on just these targets; its id."""
    name, copies, _ = said(victim.start(host.world.config, "app", run="next", **given))
    assert isinstance(copies, dict) and set(copies) == targets, (name, copies)
    return name


def locked(host: Project, target: str) -> bool:
    """Whether somebody has the target's folder to himself just now: who froze there keeps it until he wakes up."""
    lock = host.world.target(target) / ".lock"
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_who_was_killed_is_superseded_when_its_lease_has_run_out_and_not_before(hosts: Hosts) -> None:
    started = victim.start(hosts.one.world.config, "app", run="dead", doom=Doom("upload"))
    assert victim.finish(started) is None
    kind, text, _ = said(victim.start(hosts.other.world.config, "app", run="early"))
    assert (kind, text.partition("' holds it on target 'local' until ")[0]) == (
        "LeaseHeld",
        f"unable to lease 'app': '{os.uname().nodename}/{started[0].pid}/dead",
    )
    assert hosts.sound() == set()
    mine = committed(hosts.other, ahead=victim.EVERY_LEASE)
    assert hosts.sound() == {(mine, target) for target in TARGETS}
    committed(hosts.one, ahead=2 * victim.EVERY_LEASE)  # whose own staging is clean then as well
    staging_is_clean(hosts.one)


@pytest.mark.soak
def test_who_was_killed_is_superseded_after_a_minute_on_the_clock_of_the_wall(hosts: Hosts) -> None:
    for host in (hosts.one, hosts.other):
        host.world.settings["lease_minutes"] = 1
        host.world.save()
    begun = time.time()
    assert victim.finish(victim.start(hosts.one.world.config, "app", run="dead", doom=Doom("upload"))) is None
    while (found := said(victim.start(hosts.other.world.config, "app", run="next")))[0] == "LeaseHeld":
        time.sleep(1)
    assert set(found[1]) == TARGETS
    assert 55 < time.time() - begun < 130


@pytest.mark.parametrize("verb", VERBS[1:-1])
def test_who_was_frozen_and_wakes_up_commits_nothing(hosts: Hosts, verb: str) -> None:
    started = victim.start(hosts.one.world.config, "app", run="frozen", doom=Doom(verb, signal=signal.SIGSTOP))
    assert victim.frozen(started[0])
    mine = committed(hosts.other, ahead=victim.EVERY_LEASE)
    os.kill(started[0].pid or 0, signal.SIGCONT)
    if verb in ("upload", "validate"):  # steps of each target: it stops at the second again
        assert victim.frozen(started[0])
        os.kill(started[0].pid or 0, signal.SIGCONT)
    kind, text, _ = said(started)
    reasons = [
        f"{target}: unable to commit 'app': the lease of '{os.uname().nodename}/{started[0].pid}/frozen' "
        f"on target '{target}' ran out and was taken and released"
        for target in sorted(TARGETS)
    ]
    assert (kind, text.partition(": ")[2]) == ("BackupIncomplete", f"no copy could be committed ({'; '.join(reasons)})")
    assert hosts.sound() == {(mine, target) for target in TARGETS}
    staging_is_clean(hosts.one)


def frozen_within(hosts: Hosts, event: int, number: int) -> bool:
    """One host frozen ahead of an operation, the other taking over, the first going on; False past its end."""
    ahead = 2 * number * victim.EVERY_LEASE
    doom = Doom(event=event, signal=signal.SIGSTOP)
    started = victim.start(hosts.one.world.config, "app", run=f"frozen-{number}", doom=doom, ahead=ahead)
    reached = victim.frozen(started[0])
    free = {target for target in TARGETS if not (reached and locked(hosts.one, target))}
    mine = committed(hosts.other, free, ahead=ahead + victim.EVERY_LEASE)
    if reached:
        os.kill(started[0].pid or 0, signal.SIGCONT)
    name, copies, _ = said(started)
    listed = hosts.sound()
    assert {target for backup_id, target in listed if backup_id == mine} == free
    if isinstance(copies, dict):  # it had decided before it froze: then its commit stands, and everybody sees it
        assert {target for backup_id, target in listed if backup_id == name} == set(copies)
    return reached


@pytest.mark.parametrize("places", [pytest.param(6), pytest.param(120, marks=pytest.mark.soak)])
def test_who_freezes_anywhere_says_what_the_catalog_says(hosts: Hosts, places: int) -> None:
    """Above all within the commit: what was decided ahead of the freeze is finished by the other, the rest is lost."""
    whole = said(victim.start(hosts.one.world.config, "app", run="whole"))[2]
    chance = random.Random(SEED)
    reached = 0
    for number in range(1, places + 1):
        event = int(whole * (0.6 + 0.4 * (number - chance.random()) / places))
        print(f"frozen ahead of operation {event} of {whole} (seed {SEED})")
        reached += frozen_within(hosts, event, number)
    assert reached > places / 2


@pytest.mark.parametrize("rounds", [pytest.param(4), pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("skewed", [False, True], ids=["clocks-agree", "one-clock-is-ahead"])
def test_of_two_that_start_together_each_says_what_the_catalog_says(hosts: Hosts, rounds: int, skewed: bool) -> None:
    """With clocks that agree one waits; one whose clock is wrong takes a living lease: who lost it commits nothing."""
    expected: set[tuple[str, str]] = set()
    for number in range(rounds):
        ahead = 2 * number * victim.EVERY_LEASE
        pair = [
            victim.start(host.world.config, "app", run=f"{name}-{number}", ahead=ahead + extra)
            for name, host, extra in (
                ("one", hosts.one, 0 * victim.EVERY_LEASE),
                ("other", hosts.other, skewed * victim.EVERY_LEASE),
            )
        ]
        done = [said(started) for started in pair]
        for name, copies, _ in done:
            if isinstance(copies, dict):
                expected |= {(name, target) for target in copies}
            else:
                assert name in ({"LeaseHeld", "BackupIncomplete"} if skewed else {"LeaseHeld"}), (name, copies)
        assert any(isinstance(copies, dict) for _, copies, _ in done)
        assert hosts.sound() == expected
    for host in (hosts.one, hosts.other):
        staging_is_clean(host)
