"""A damaged copy on one of two targets: the sound one is used, and the damaged one is told; it is never passed over
in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.damage.tiny import Tiny, undone
from tests.support.compare import assert_databases_equal
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.memory_storage import MemoryStorage

from rlg_backup.core.errors import BackupError, DocumentDamaged, ObjectDamaged, ObjectMissing
from rlg_backup.engine.archives import ARCHIVE
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import Chosen, choose
from rlg_backup.engine.verify import verify


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    tiny = Tiny.make(tmp_path_factory.mktemp("copies") / "world", "local", "second")
    tiny.back_up()
    tiny.back_up()
    return tiny


@pytest.fixture
def newest(two: Tiny) -> Chosen:
    return choose(two.wiring, "app")


SPOILT: dict[str, Callable[[Tiny, str], None]] = {
    "flipped": lambda tiny, key: tiny.storage.plant(key, b"?" + tiny.storage.bytes_of(key)[1:]),
    "cut": lambda tiny, key: tiny.storage.plant(key, tiny.storage.bytes_of(key)[:-1]),
    "gone": lambda tiny, key: tiny.storage.delete(key),
}


@pytest.mark.parametrize("which", ["id", "latest", "2100-01-01"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_manifest_on_the_first_target_is_told_and_the_other_copy_serves(
    two: Tiny, newest: Chosen, tmp_path: Path, how: str, which: str
) -> None:
    asked = newest.point.backup_id if which == "id" else which
    key = f"{newest.folder}/manifest.json"
    with undone(two):
        SPOILT[how](two, key)
        chosen = choose(two.wiring, "app", asked)
        assert (chosen.target, chosen.point.backup_id) == ("second", newest.point.backup_id)
        [(target, error)] = chosen.passed_over.items()
        assert (target, type(error)) == ("local", ObjectMissing if how == "gone" else ObjectDamaged)
        found = verify(two.wiring, "app", asked, full=True)
        assert (found.verdict, found.target) == ("FAIL", "second")
        done = restore(two.wiring, "app", asked, str(tmp_path / "out.db"))
        assert done.target == "second"
        assert f"the copy on target 'local' was not used: {error}" in done.warnings
    assert_databases_equal(two.world.root / "app.db", tmp_path / "out.db")


@pytest.mark.parametrize("which", ["id", "latest", "2100-01-01"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_archive_on_the_first_target_is_told_and_the_other_copy_is_restored(
    two: Tiny, newest: Chosen, tmp_path: Path, how: str, which: str
) -> None:
    asked = newest.point.backup_id if which == "id" else which
    key = f"{newest.folder}/{ARCHIVE}"
    with undone(two):
        SPOILT[how](two, key)
        done = restore(two.wiring, "app", asked, str(tmp_path / "out.db"))
        assert done.target == "second"
        assert f"the copy on target 'local' was not used: {cause(how, key)}" in done.warnings
        with pytest.raises(ObjectMissing if how == "gone" else ObjectDamaged) as caught:  # who names a target means it
            restore(two.wiring, "app", asked, str(tmp_path / "named.db"), target="local")
        assert str(caught.value) == cause(how, key)
    assert_databases_equal(two.world.root / "app.db", tmp_path / "out.db")


def cause(how: str, key: str) -> str:
    if how == "gone":
        return f"unable to read '{key}': it is not on target 'local'"
    return f"unable to fetch '{key}': target 'local' holds other bytes than the manifest names"


@pytest.mark.parametrize("other", ["damaged", "down", "never had it"])
def test_when_no_archive_is_sound_the_first_ones_error_is_raised_and_nothing_is_left(
    two: Tiny, newest: Chosen, tmp_path: Path, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{newest.folder}/{ARCHIVE}"
    second = two.wiring.storage("second")
    assert isinstance(second, MemoryStorage)
    with undone(two), monkeypatch.context() as patch:
        SPOILT["flipped"](two, key)
        before = dict(second.shelf.objects)
        if other == "damaged":
            second.plant(key, second.bytes_of(key)[:-1])
        elif other == "never had it":
            second.shelf.objects.clear()
        else:
            patch.setitem(two.wiring.given, "second", FaultyStorage(second, Fault(Damage.FAIL)))
        with pytest.raises(ObjectDamaged) as caught:
            restore(two.wiring, "app", newest.point.backup_id, str(tmp_path / "out.db"))
        second.shelf.objects.clear()
        second.shelf.objects.update(before)
    assert str(caught.value) == cause("flipped", key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["flipped", "cut"])
def test_a_damaged_record_of_the_newest_backup_refuses_the_latest_and_not_what_is_named(
    two: Tiny, newest: Chosen, how: str
) -> None:
    """Which is the latest cannot be known from a catalog whose head is damaged; a named copy can be believed."""
    with undone(two):
        SPOILT[how](two, newest.point.key)
        with pytest.raises(DocumentDamaged):
            choose(two.wiring, "app")
        chosen = choose(two.wiring, "app", newest.point.backup_id)
        assert (chosen.target, list(chosen.passed_over)) == ("second", ["local"])
        assert verify(two.wiring, "app", newest.point.backup_id, full=True).verdict == "FAIL"


def test_when_no_copy_is_sound_the_first_ones_error_is_raised(two: Tiny, newest: Chosen) -> None:
    key = f"{newest.folder}/manifest.json"
    second = two.wiring.given["second"]
    with undone(two):
        SPOILT["gone"](two, key)
        data, info = second.get_bytes(key, limit=1 << 20)
        second.put_bytes(key, data + b"\n", replacing=info.tag)
        for asked in ("latest", newest.point.backup_id):
            with pytest.raises(BackupError) as caught:
                choose(two.wiring, "app", asked)
            assert str(caught.value) == f"unable to read '{key}': it is not on target 'local'"
        second.put_bytes(key, data, replacing=second.stat(key).tag)
