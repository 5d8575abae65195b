"""An object that is spoilt on its target after the upload: the run fails at ``validate``, and nothing is listed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.damage.tiny import Tiny
from tests.support.verbs import run_through

from rlg_backup.core.errors import BackupError, BackupIncomplete, ObjectDamaged, ObjectMissing
from rlg_backup.engine import steps
from rlg_backup.engine.archives import ARCHIVE
from rlg_backup.engine.restore_points import list_points

SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "a byte in the middle": lambda data: data[: len(data) // 2] + b"\0" + data[len(data) // 2 + 1 :],
    "last byte": lambda data: data[:-1] + bytes([data[-1] ^ 0x80]),
    "cut": lambda data: data[:-1],
    "grown": lambda data: data + b"\0",
    "empty": lambda _: b"",
    "twice": lambda data: data * 2,
}


@pytest.mark.parametrize("how", [*SPOILT, "gone", "of an earlier backup"])
@pytest.mark.parametrize("name", [ARCHIVE, "manifest.json"])
def test_an_object_spoilt_after_its_upload_fails_validate_and_commits_nothing(tiny: Tiny, name: str, how: str) -> None:
    wiring = tiny.wiring
    before = list_points(wiring, "app").points
    reference = run_through(wiring, "upload")
    key = f"app/{reference.backup_id}/{name}"
    if how == "gone":
        tiny.storage.delete(key)
    elif how == "of an earlier backup":
        tiny.storage.plant(key, tiny.storage.bytes_of(f"app/{before[0].backup_id}/{name}"))
    else:
        tiny.storage.plant(key, SPOILT[how](tiny.storage.bytes_of(key)))
    expected: tuple[type[BackupError], str] = (
        ObjectDamaged,
        f"unable to validate '{key}': the target 'local' gives back other bytes than were sent",
    )
    if how == "gone":
        expected = (ObjectMissing, f"unable to read '{key}': it is not on target 'local'")
    with pytest.raises(BackupError) as caught:
        steps.validate(wiring, reference, "local")
    assert (type(caught.value), str(caught.value)) == expected
    with pytest.raises(BackupIncomplete):
        steps.commit(wiring, reference)
    steps.wipe(wiring, reference)
    assert (list_points(wiring, "app").points, tiny.world.staged()) == (before, [])
    assert tiny.back_up().point.sequence == 2
