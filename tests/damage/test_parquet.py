"""The last layer: a Parquet part that every digest vouches for. What is wrong in it is our error, or the profile's."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.damage.peeled import members_of, packed, plaintext_of, sign_for
from tests.damage.tiny import Tiny
from tests.damage.trials import BITS, BROKEN, Trial, cuts, flips, growths
from tests.support.compare import assert_trees_equal

from rlg_backup.core.errors import BackupError, DamageError, MemberDamaged
from rlg_backup.core.model import Verdict
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import Chosen
from rlg_backup.engine.verify import verify
from rlg_backup.format.rows import read_part
from rlg_backup.format.tree_index import read_index

PARTS = {"app": "data/main.forms/part-00000.parquet", "tree": "files/index/part-00000.parquet"}


def rows(source: str, data: bytes) -> list[Any]:
    if source == "app":
        return [batch.to_pylist() for batch in read_part(io.BytesIO(data))]
    return list(read_index(io.BytesIO(data), PARTS[source]))


def one_bit(sound: bytes) -> Iterator[Trial]:
    """Every byte in turn, another bit each time."""
    return (trial for at, trial in enumerate(flips(sound, BITS)) if at % 8 == at // 8 % 8)


def only_damage(trials: Iterator[Trial], use: Callable[[bytes], object]) -> list[bytes]:
    """Those that are read: of all others the error must be MemberDamaged."""
    read = []
    for trial in trials:
        try:
            use(trial.data)
        except BackupError as error:
            assert type(error) is MemberDamaged, (trial.what, error)
        except Exception as leaked:
            raise AssertionError(f"{trial.what}: an error that is not ours came out") from leaked
        else:
            read.append(trial.data)
    return read


def test_a_flipped_bit_in_a_part_that_is_read_gives_rows_or_our_error_and_nothing_else(
    tiny: Tiny, chosen: Chosen
) -> None:
    """Parquet has no digest of its own, so some changes do give rows. The next test says who refuses those."""
    sound = members_of(plaintext_of(tiny, chosen))[PARTS[chosen.source]]
    read = only_damage(one_bit(sound), lambda data: rows(chosen.source, data))
    assert 0 < len(read) < len(sound)


@pytest.mark.soak
def test_every_bit_cut_and_growth_of_a_part_gives_rows_or_our_error_and_nothing_else(
    tiny: Tiny, chosen: Chosen
) -> None:
    sound = members_of(plaintext_of(tiny, chosen))[PARTS[chosen.source]]
    trials = itertools.chain(flips(sound, BITS), cuts(sound), growths(sound))
    assert only_damage(trials, lambda data: rows(chosen.source, data))


def test_other_rows_that_a_thief_of_the_signing_key_vouches_for_are_refuted_by_the_profile(
    tiny: Tiny, chosen: Chosen, tmp_path: Path
) -> None:
    """Every digest and signature is right; the rows are not those the profile was made of. Nothing is restored."""
    source = chosen.source
    sound = members_of(plaintext_of(tiny, chosen))
    truth = rows(source, sound[PARTS[source]])
    readable = only_damage(one_bit(sound[PARTS[source]]), lambda data: rows(source, data))
    others = [data for data in readable if rows(source, data) != truth]
    assert len(others) >= 20
    unnoticed = []
    for data in others[:: max(1, len(others) // 20)]:
        sign_for(tiny, chosen, packed({**sound, PARTS[source]: data}))
        found = verify(tiny.wiring, source, full=True)
        if found.verdict is not Verdict.FAIL:
            unnoticed.append(found.checks)
        restores_the_truth_or_nothing(tiny, source, tmp_path / "out")
    assert not unnoticed, f"{BROKEN}: {unnoticed}"


def restores_the_truth_or_nothing(tiny: Tiny, source: str, out: Path) -> None:
    """An index may name a content wrongly that the archive holds rightly: then the tree is the truth."""
    try:
        restore(tiny.wiring, source, "latest", str(out))
    except DamageError:
        assert list(out.parent.iterdir()) == []
        return
    assert source == "tree"
    assert_trees_equal(tiny.world.root / "tree", out)
    shutil.rmtree(out)


def test_the_same_forgery_without_a_change_passes(tiny: Tiny, chosen: Chosen, tmp_path: Path) -> None:
    """What the test above relies on: it is the rows that were refused."""
    sign_for(tiny, chosen, packed(members_of(plaintext_of(tiny, chosen))))
    assert verify(tiny.wiring, chosen.source, full=True).verdict is Verdict.PASS
    restore(tiny.wiring, chosen.source, "latest", str(tmp_path / "out"))
