"""The change state of the parent, damaged in every place: the next backup is a full one that says why."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from tests.damage.peeled import members_of, packed, sign_state_for
from tests.damage.tiny import Tiny, undone
from tests.damage.trials import BITS, Trial, cuts, flips, growths
from tests.support.memory_storage import MemoryStorage

from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.archives import STATE
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore_points import Chosen, choose
from rlg_backup.engine.workspace import Workspace
from rlg_backup.format.age import AgeReader
from rlg_backup.format.canonical import serialize


@pytest.fixture(scope="module")
def chain(template: Tiny) -> list[Chosen]:
    """A full backup and an incremental one: both have a state that the next one may need."""
    done = [backup(template.wiring, "app", kind).backup_id for kind in (Kind.FULL, Kind.INCREMENTAL)]
    return [choose(template.wiring, "app", backup_id) for backup_id in done]


@pytest.fixture
def tiny(template: Tiny, chain: list[Chosen]) -> Iterator[Tiny]:
    with undone(template):
        yield template


def state_key(chosen: Chosen) -> str:
    return f"{chosen.folder}/{STATE}"


def state_of(tiny: Tiny, chosen: Chosen) -> bytes:
    """Decrypted: a ZIP."""
    return AgeReader(io.BytesIO(tiny.storage.bytes_of(state_key(chosen))), tiny.wiring.state_identities).read()


def told(tiny: Tiny, kind: Kind) -> tuple[str, list[str]]:
    """The kind that the next backup comes to with its snapshot, and what its profile says of that."""
    reference = steps.snapshot(tiny.wiring, steps.stage(tiny.wiring, "app", kind, run="next"))
    workspace = Workspace.resume(tiny.wiring.settings.staging.folder, tiny.wiring.staging_key, reference)
    warnings = workspace.record("snapshot")["profile"]["warnings"]
    steps.wipe(tiny.wiring, reference)
    return reference.kind, [text for text in warnings if text.startswith("full instead of ")]


def test_a_sound_state_is_gone_on_from(tiny: Tiny, chain: list[Chosen]) -> None:
    """What the tests below rely on."""
    for kind in (Kind.INCREMENTAL, Kind.DIFFERENTIAL):
        assert told(tiny, kind) == (kind, [])


@pytest.mark.parametrize("kind", [Kind.INCREMENTAL, Kind.DIFFERENTIAL])
def test_a_flipped_bit_in_any_part_of_it_makes_a_full_one(tiny: Tiny, chain: list[Chosen], kind: Kind) -> None:
    """The version, the header, the nonce, the payload and its tag: what arrives is not what the manifest names."""
    key = state_key(chain[1 if kind is Kind.INCREMENTAL else 0])
    sound = tiny.storage.bytes_of(key)
    step = len(sound) // 25
    trials = [trial for number, trial in enumerate(flips(sound, BITS)) if number % (8 * step + 1) == 0]
    assert len({trial.at for trial in trials}) >= 20
    last = Trial("the last byte", len(sound) - 1, sound[:-1] + bytes([sound[-1] ^ 128]))
    for trial in (*trials, last):
        tiny.storage.plant(key, trial.data)
        why = f"unable to fetch '{key}': target 'local' holds other bytes than the manifest names"
        assert told(tiny, kind) == ("full", [f"full instead of {kind}: {why}"]), trial.what


def test_one_of_another_length_makes_a_full_one(tiny: Tiny, chain: list[Chosen]) -> None:
    key, newest = state_key(chain[1]), chain[1].point.backup_id
    sound = tiny.storage.bytes_of(key)
    for trial in (*islice(cuts(sound), 0, None, len(sound) // 8), *islice(growths(sound), 0, None, 40)):
        tiny.storage.plant(key, trial.data)
        why = f"no target holds the change state of backup '{newest}'"
        assert told(tiny, Kind.INCREMENTAL) == ("full", [f"full instead of incremental: {why}"]), trial.what


def test_that_of_another_backup_makes_a_full_one(tiny: Tiny, chain: list[Chosen]) -> None:
    """Made to the right length by somebody, or of it by chance."""
    key, other = state_key(chain[1]), tiny.storage.bytes_of(state_key(chain[0]))
    size = len(tiny.storage.bytes_of(key))
    tiny.storage.plant(key, (other + bytes(size))[:size])
    why = f"unable to fetch '{key}': target 'local' holds other bytes than the manifest names"
    assert told(tiny, Kind.INCREMENTAL) == ("full", [f"full instead of incremental: {why}"])


def test_a_rotten_copy_is_passed_over_for_a_sound_one_on_another_target(tmp_path: Path) -> None:
    tiny = Tiny.make(tmp_path / "world", "local", "second")
    newest = tiny.back_up()
    key = state_key(newest)
    tiny.storage.plant(key, next(flips(tiny.storage.bytes_of(key))).data)
    assert told(tiny, Kind.INCREMENTAL) == ("incremental", [])
    second = tiny.wiring.given["second"]
    assert isinstance(second, MemoryStorage)
    second.plant(key, tiny.storage.bytes_of(key))
    why = f"unable to fetch '{key}': target 'local' holds other bytes than the manifest names"
    assert told(tiny, Kind.INCREMENTAL) == ("full", [f"full instead of incremental: {why}"])


# --- states that are signed and wrong ---------------------------------------------------------------

Members = dict[str, bytes]
Change = Callable[[Members], bytes]
PART = "rows/main.forms/part-00000.parquet"


def renamed(members: Members) -> bytes:
    document = json.loads(members["state.json"])
    other = serialize({**document, "source": "other"}, "state.json")
    return packed({**members, "state.json": other})


SIGNED: dict[str, tuple[Change, str]] = {
    "is no ZIP": (lambda members: b"PK", "unable to read 'ZIP directory': it has no end records"),
    "has no document": (
        lambda members: packed({PART: members[PART]}),
        "unable to read 'state.json': the archive has no such member",
    ),
    "has a document that is none": (
        lambda members: packed({**members, "state.json": b"{"}),
        "unable to read 'state.json': it is not JSON that has a canonical form",
    ),
    "lacks a part that it names": (
        lambda members: packed({name: data for name, data in members.items() if name != PART}),
        f"unable to read 'state.json': it names the member '{PART}', which is not there",
    ),
    "is of another source": (renamed, "unable to read 'state.json': it is of the backup 'other/{0}'"),
}


@pytest.mark.parametrize("what", SIGNED)
def test_a_full_one_is_made_after_a_state_that(what: str, tiny: Tiny, chain: list[Chosen]) -> None:
    change, why = SIGNED[what]
    sign_state_for(tiny, chain[1], change(members_of(state_of(tiny, chain[1]))))
    why = why.format(chain[1].point.backup_id)
    assert told(tiny, Kind.INCREMENTAL) == ("full", [f"full instead of incremental: {why}"])


def test_the_same_state_signed_anew_is_gone_on_from(tiny: Tiny, chain: list[Chosen]) -> None:
    """What the tests above rely on: it is the change that is refused."""
    sign_state_for(tiny, chain[1], packed(members_of(state_of(tiny, chain[1]))))
    assert told(tiny, Kind.INCREMENTAL) == ("incremental", [])
