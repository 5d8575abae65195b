"""A lease that is held on some targets only: what its owner writes there does not stop the backups elsewhere."""

from __future__ import annotations

import json

import pytest
from tests.support.verbs import listed
from tests.support.world import World

from rlg_backup.core.errors import LeaseHeld
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.backup import backup

FOREVER = {
    "version": 1, "change": 1, "token": 1, "nonce": "0" * 16, "holder": "nobody", "seconds": 31622400,
    "expires_at": "2099-01-01T00:00:00Z", "pending": None,
}  # fmt: skip
CAUSE = "unable to lease 'app': 'nobody' holds it on target '{}' until 2099-01-01T00:00:00Z"
HINT = "hint: wait until that run ends, or its lease runs out"


def hold(world: World, target: str) -> None:
    """As the owner of a target can: a lease that no clock ends."""
    place = world.target(target) / "catalog" / "app"
    place.mkdir(parents=True, exist_ok=True)
    (place / "lease.json").write_text(json.dumps(FOREVER, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize(("held", "free"), [("local", "second"), ("second", "local")])
def test_the_other_targets_get_their_copy_and_the_run_says_which_did_not(world: World, held: str, free: str) -> None:
    hold(world, held)
    done = backup(world.wiring(), "app", Kind.FULL)
    assert (done.committed, done.missing) == ({free: 1}, {held: f"{CAUSE.format(held)}\n{HINT}"})
    assert not done.complete
    assert listed(world.wiring()) == [done.backup_id]
    assert world.staged() == []


def test_a_lease_held_on_every_target_that_answers_is_waited_for(world: World) -> None:
    hold(world, "local")
    world.target("second").write_text("a file where a folder should be")
    with pytest.raises(LeaseHeld) as caught:
        steps.stage(world.wiring(), "app", Kind.FULL, run="next")
    assert str(caught.value) == f"{CAUSE.format('local')}\n{HINT}"


def test_leases_are_given_back_in_such_an_order_that_who_gets_the_first_gets_all(world: World) -> None:
    wiring = world.wiring()
    reference = steps.stage(wiring, "app", Kind.FULL, run="one")
    held = []

    def note(target: str) -> None:
        lease = json.loads((world.target(target) / "catalog" / "app" / "lease.json").read_bytes())
        held.append((target, lease["holder"] is not None))

    second = wiring.storage("second")
    put, wiring_put = second.put_bytes, wiring.storage("local").put_bytes
    second.put_bytes = lambda *given, **named: (note("local"), put(*given, **named))[1]  # type: ignore[method-assign]
    wiring.storage("local").put_bytes = (  # type: ignore[method-assign]
        lambda *given, **named: (note("second"), wiring_put(*given, **named))[1]
    )
    steps.wipe(wiring, reference)
    assert held == [("local", True), ("second", False)]
