"""Against who owns the target and encrypts to our public recipients: what decrypts is still not believed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.damage.peeled import described, encrypted, members_of, opened, packed, plaintext_of
from tests.damage.tiny import READS, Item, Tiny, archive_key, everything, ranged, uses_the_truth_alone
from tests.damage.trials import Errors, Trial, all_refused, every_damage, flips

from rlg_backup.core.errors import DirectoryDamaged, DocumentDamaged, MemberDamaged, ObjectDamaged
from rlg_backup.engine.restore_points import Chosen
from rlg_backup.format.container import ZipReader

Members = dict[str, bytes]


@pytest.fixture
def plaintext(tiny: Tiny, chosen: Chosen) -> bytes:
    return plaintext_of(tiny, chosen)


@pytest.fixture
def truth(tiny: Tiny, chosen: Chosen, place: Path) -> list[Item]:
    return list(ranged(tiny, chosen, place))


def by_place(chosen: Chosen) -> Callable[[Trial], Errors]:
    """A flipped byte is the directory's, or a member's; where the archive ends elsewhere, its directory is gone."""
    directory = chosen.manifest.archives[0].directory
    size = directory.offset + directory.length

    def expected(trial: Trial) -> Errors:
        whole = len(trial.data) == size
        return MemberDamaged if whole and trial.at < directory.offset else DirectoryDamaged

    return expected


def in_deflated_bytes(plaintext: bytes) -> Callable[[Trial], bool]:
    """Deflate has many spellings of the same bytes: where a repetition is copied from makes no difference.

    A member's digest is of what they inflate to, so these few changes are not noticed below the encryption, and do no
    harm: the member is the truth.
    """
    archive = ZipReader.locate(lambda offset, length: plaintext[offset : offset + length], len(plaintext))
    places = [range(m.data_offset, m.end) for m in archive.members.values() if m.deflated]
    return lambda trial: len(trial.data) == len(plaintext) and any(trial.at in place for place in places)


def test_every_flipped_byte_cut_and_growth_of_the_zip_is_an_error_before_anything_wrong_is_used(
    chosen: Chosen, plaintext: bytes, truth: list[Item]
) -> None:
    counts = all_refused(
        every_damage(plaintext),
        lambda data: uses_the_truth_alone(everything(opened(chosen, data)), truth),
        by_place(chosen),
        may_pass=in_deflated_bytes(plaintext),
    )
    passed = len(plaintext) * 2 + 256 + 8 - sum(counts.values())
    assert passed < 20
    assert set(counts) == {"MemberDamaged", "DirectoryDamaged"}


def test_a_zip_damaged_before_it_was_encrypted_is_an_error_behind_a_sound_encryption(
    tiny: Tiny, chosen: Chosen, plaintext: bytes, truth: list[Item], place: Path
) -> None:
    """Every tenth byte of it, through the target: every chunk is authentic, and the file is as long as ours."""

    def use(data: bytes) -> None:
        tiny.storage.plant(archive_key(chosen), encrypted(tiny, data))
        uses_the_truth_alone(ranged(tiny, chosen, place), truth)

    trials = itertools.islice(flips(plaintext), 0, None, 10)
    counts = all_refused(trials, use, by_place(chosen), may_pass=in_deflated_bytes(plaintext))
    assert set(counts) == {"MemberDamaged", "DirectoryDamaged"}


@pytest.mark.parametrize("read", READS)
def test_the_same_archive_encrypted_anew_is_refused_where_its_digest_is_taken_and_gives_the_truth_elsewhere(
    tiny: Tiny, chosen: Chosen, plaintext: bytes, truth: list[Item], place: Path, read: str
) -> None:
    """A payload may be encrypted anew by whoever could read it; by ranges it is then read as what it is: ours."""
    tiny.storage.plant(archive_key(chosen), encrypted(tiny, plaintext))
    if read == "seekable":
        assert list(READS[read](tiny, chosen, place)) == truth
        return
    with pytest.raises(ObjectDamaged) as caught:
        list(READS[read](tiny, chosen, place))
    assert str(caught.value) == (
        f"unable to fetch '{archive_key(chosen)}': target 'local' holds other bytes than the manifest names"
    )


def test_a_member_changed_anywhere_under_a_directory_made_for_it_is_caught_by_the_manifests_digest(
    chosen: Chosen, plaintext: bytes
) -> None:
    """Every byte of every member: schema, Parquet, files, index, profile. CRC-32 and SHA-256 are of the change."""
    sound = members_of(plaintext)
    assert opened(described(chosen, packed(sound)), packed(sound)).names == list(sound)
    for name, content in sound.items():

        def use(data: bytes, name: str = name) -> object:
            return opened(chosen, packed({**sound, name: data}))

        if content:
            all_refused(flips(content), use, DirectoryDamaged)


REARRANGED: dict[str, Callable[[Members, str, str], Members]] = {
    "left out": lambda members, one, _: {name: data for name, data in members.items() if name != one},
    "added": lambda members, one, _: {**members, "data/main.more/part-00000.parquet": members[one]},
    "renamed": lambda members, one, _: {name + "x" if name == one else name: d for name, d in members.items()},
    "exchanged": lambda members, one, other: {**members, one: members[other], other: members[one]},
    "in another order": lambda members, *_: dict(reversed(members.items())),
    "emptied": lambda members, one, _: {**members, one: b""},
    "all gone": lambda *_: {},
}


@pytest.mark.parametrize("read", ["alone", "seekable"])
@pytest.mark.parametrize("change", REARRANGED)
def test_members_that_were_rearranged_are_not_the_manifests(
    tiny: Tiny, chosen: Chosen, plaintext: bytes, place: Path, change: str, read: str
) -> None:
    sound = members_of(plaintext)
    one, other = list(sound)[1], list(sound)[-1]
    changed = packed(REARRANGED[change](sound, one, other))
    changed += bytes(max(0, len(plaintext) - len(changed)))  # as long as ours where that can be
    tiny.storage.plant(archive_key(chosen), encrypted(tiny, changed))
    expected = (DirectoryDamaged,) if read == "alone" else (DirectoryDamaged, ObjectDamaged)
    with pytest.raises(expected):
        if read == "alone":
            opened(chosen, changed)
        else:
            list(ranged(tiny, chosen, place))


def test_another_profile_under_a_directory_the_manifest_names_is_caught_by_the_profiles_digest(
    chosen: Chosen, plaintext: bytes
) -> None:
    """As if the directory's digest were no obstacle: every flipped byte, cut and growth of profile.json alone."""
    sound = members_of(plaintext)

    def use(data: bytes) -> None:
        changed = packed({**sound, "profile.json": data})
        opened(described(chosen, changed), changed).profile()

    all_refused(every_damage(sound["profile.json"]), use, DocumentDamaged)
