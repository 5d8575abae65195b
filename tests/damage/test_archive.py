"""The archive as it lies on a target: every byte of it, every length."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import pytest
from tests.damage.tiny import READS, Tiny, archive_key, uses_the_truth_alone
from tests.damage.trials import BITS, Errors, Trial, all_refused, every_damage, flips

from rlg_backup.core.errors import (
    FormatUnsupported,
    HeaderDamaged,
    ObjectDamaged,
    PayloadDamaged,
    WrongIdentity,
)
from rlg_backup.engine.restore_points import Chosen
from rlg_backup.format.age import AgeReader, SeekableAgeReader, encrypt
from rlg_backup.format.age.hybrid import HybridIdentity

VERSION_LINE = len("age-encryption.org/v1\n")


@pytest.mark.parametrize("read", READS)
def test_the_sound_archive_is_read_whole(tiny: Tiny, chosen: Chosen, place: Path, read: str) -> None:
    """What the other tests rely on: without damage everything comes, and both ways give the same."""
    found = list(READS[read](tiny, chosen, place))
    assert found == list(READS["seekable"](tiny, chosen, place))
    names = [name for name, _ in found]
    if chosen.source == "app":
        assert names[:2] == ["profile", "README.txt"]
        assert names[-2:] == ["profile.json", "forms"]
        assert [len(rows) for _, rows in found if isinstance(rows, list)] == [3]
    else:
        assert names.count("entry") == 7


@pytest.mark.parametrize("read", READS)
def test_every_flipped_byte_every_cut_and_every_growth_is_an_error_and_nothing_is_used(
    tiny: Tiny, chosen: Chosen, place: Path, read: str
) -> None:
    sound = tiny.archive(chosen)

    def expected(trial: Trial) -> Errors:
        whole_is_known = read == "streaming" or len(trial.data) != len(sound)
        return ObjectDamaged if whole_is_known else by_place(chosen, trial)

    def use(data: bytes) -> None:
        tiny.storage.plant(archive_key(chosen), data)
        uses_the_truth_alone(READS[read](tiny, chosen, place), ())  # it is one chunk: nothing can be right

    all_refused(every_damage(sound), use, expected)
    assert not place.exists()


def by_place(chosen: Chosen, trial: Trial) -> Errors:
    """What a flipped byte of an age file is called, by the part of the file it lies in."""
    header = chosen.manifest.archives[0].header_size
    if trial.at < VERSION_LINE:
        return (HeaderDamaged, FormatUnsupported)
    if trial.at < header:
        # Where our own stanza no longer opens, or is no longer of a kind we know, nobody can say that it was ours.
        return (HeaderDamaged, WrongIdentity)
    return PayloadDamaged


# --- the age layer alone: nothing takes the digest of the whole file, nor knows its size -------------


def streamed(tiny: Tiny, data: bytes) -> bytes:
    return AgeReader(io.BytesIO(data), tiny.identities).read()


def sought(tiny: Tiny, data: bytes) -> bytes:
    reader = SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), tiny.identities)
    return reader.read_at(0, reader.size)


AGE = {"stream": streamed, "seek": sought}


@pytest.mark.parametrize("read", AGE)
def test_the_age_readers_alone_refuse_every_flipped_byte_every_cut_and_every_growth(
    tiny: Tiny, backups: dict[str, Chosen], read: str
) -> None:
    chosen = backups["app"]
    sound = tiny.archive(chosen)
    header = chosen.manifest.archives[0].header_size

    def expected(trial: Trial) -> Errors:
        if len(trial.data) == len(sound):
            return by_place(chosen, trial)
        return HeaderDamaged if trial.at < header else PayloadDamaged

    counts = all_refused(every_damage(sound), lambda data: AGE[read](tiny, data), expected)
    assert set(counts) == {"HeaderDamaged", "FormatUnsupported", "WrongIdentity", "PayloadDamaged"}


@pytest.mark.parametrize("read", AGE)
def test_no_bit_of_a_header_can_be_changed_not_of_another_recipients_stanza_nor_the_spare_ones_of_base64(
    tiny: Tiny, backups: dict[str, Chosen], read: str
) -> None:
    """All eight bits of every byte. A stanza that is not ours is covered by the MAC, and has one spelling."""
    chosen = backups["app"]
    sound, header = tiny.archive(chosen), chosen.manifest.archives[0].header_size
    stanzas = [at for at in range(header) if sound.startswith(b"-> ", at)]
    assert len(stanzas) == 2
    trials = itertools.takewhile(lambda trial: trial.at < header, flips(sound, BITS))
    ours = opened_by_ours(tiny, sound, stanzas)
    other = next(at for at in stanzas if at != ours)
    others = range(other, sound.index(b"\n-", other) + 1)

    def expected(trial: Trial) -> Errors:
        return HeaderDamaged if trial.at in others else by_place(chosen, trial)

    counts = all_refused(trials, lambda data: AGE[read](tiny, data), expected)
    assert sum(counts.values()) == header * 8


def opened_by_ours(tiny: Tiny, sound: bytes, stanzas: list[int]) -> int:
    """Where the stanza begins that our identity opens: the one without which it opens nothing."""
    for at in stanzas:
        damaged = sound[: at + 5] + b"?" + sound[at + 6 :]
        try:
            streamed(tiny, damaged)
        except WrongIdentity:
            return at
        except HeaderDamaged:
            continue
    raise AssertionError("no stanza is ours")


@pytest.mark.parametrize("read", AGE)
def test_no_byte_of_a_post_quantum_header_can_be_changed(read: str) -> None:
    """Another bit of each byte in turn; also of the other recipient's stanza, and of what the KEM would let pass."""
    identities = [HybridIdentity.generate(), HybridIdentity.generate()]
    sink = io.BytesIO()
    with encrypt(sink, [identity.recipient for identity in identities]) as writer:
        writer.write(b"to whom it may concern")
    sound = sink.getvalue()

    def use(data: bytes) -> bytes:
        if read == "stream":
            return AgeReader(io.BytesIO(data), identities[1:]).read()
        reader = SeekableAgeReader(lambda at, length: data[at : at + length], len(data), identities[1:])
        return reader.read_at(0, reader.size)

    assert use(sound) == b"to whom it may concern"
    trials = (trial for number, trial in enumerate(flips(sound, BITS)) if number % 8 == trial.at % 8)
    header = [trial for trial in trials if trial.at < writer.header_size]
    assert len(header) == writer.header_size > 3000
    all_refused(header, use, (HeaderDamaged, WrongIdentity, FormatUnsupported))
