"""Archives of several chunks: each chunk is authentic, and belongs to one place of one archive."""

from __future__ import annotations

import io
import itertools
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.damage.tiny import READS, Item, Tiny, archive_key, uses_the_truth_alone
from tests.damage.trials import BROKEN, Trial, all_refused

from rlg_backup.core.errors import BackupError, HeaderDamaged, ObjectDamaged, PayloadDamaged
from rlg_backup.engine.restore_points import Chosen
from rlg_backup.format.age import AgeReader, SeekableAgeReader
from rlg_backup.format.age.chunks import NONCE, SEALED

SEED = 20261125


@dataclass(frozen=True)
class Age:
    """A file taken apart; ``whole`` puts it together."""

    header: bytes
    nonce: bytes
    chunks: tuple[bytes, ...]

    @classmethod
    def of(cls, data: bytes, header: int) -> Age:
        start = header + NONCE
        chunks = tuple(data[at : at + SEALED] for at in range(start, len(data), SEALED))
        return cls(data[:header], data[header:start], chunks)

    def whole(self, *chunks: bytes) -> bytes:
        return b"".join((self.header, self.nonce, *(chunks or self.chunks)))


@dataclass(frozen=True)
class Pair:
    """Two backups of one source, to the same recipients; what is done is done to the first."""

    tiny: Tiny
    chosen: Chosen
    first: Age
    second: Age
    plaintext: bytes
    truth: list[Item]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    root = tmp_path_factory.mktemp("chunks")
    tiny = Tiny.make(root / "world")
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    fill(tiny, chance, 330_000)
    chosen = tiny.back_up()
    fill(tiny, chance, 0)  # other values, the same sizes
    other = tiny.back_up()
    first = Age.of(tiny.archive(chosen), chosen.manifest.archives[0].header_size)
    second = Age.of(tiny.archive(other), other.manifest.archives[0].header_size)
    assert len(first.chunks) == len(second.chunks) == 6
    plaintext = AgeReader(io.BytesIO(first.whole()), tiny.identities).read()
    return Pair(tiny, chosen, first, second, plaintext, list(READS["seekable"](tiny, chosen, root)))


def fill(tiny: Tiny, chance: random.Random, size: int) -> None:
    connection = sqlite3.connect(tiny.world.root / "app.db")
    if size:
        connection.execute("CREATE TABLE large (id INTEGER PRIMARY KEY, content BLOB)")
        connection.executemany("INSERT INTO large (content) VALUES (?)", [(bytes(size // 10),)] * 10)
    for number in range(1, 11):
        length = connection.execute("SELECT length(content) FROM large WHERE id = ?", (number,)).fetchone()[0]
        connection.execute("UPDATE large SET content = ? WHERE id = ?", (chance.randbytes(length), number))
    connection.commit()
    connection.close()


def rearranged(pair: Pair) -> Iterator[Trial]:
    """Every chunk authentic, and not one of them changed."""
    one, other = pair.first, pair.second
    chunks, theirs, count = one.chunks, other.chunks, len(one.chunks)
    for left, right in itertools.combinations(range(count), 2):
        swapped = list(chunks)
        swapped[left], swapped[right] = chunks[right], chunks[left]
        yield Trial(f"chunks {left} and {right} swapped", 0, one.whole(*swapped))
    for at in range(count):
        yield Trial(f"chunk {at} repeated", 0, one.whole(*chunks[: at + 1], *chunks[at:]))
        yield Trial(f"chunk {at} dropped", 0, one.whole(*chunks[:at], *chunks[at + 1 :]))
        yield Trial(f"ends after chunk {at}", 0, one.whole(*chunks[: at + 1]) if at < count - 1 else one.whole()[:-1])
        yield Trial(f"the last one before chunk {at}", 0, one.whole(*chunks[:at], chunks[-1], *chunks[at:-1], b""))
        yield Trial(f"chunk {at} of the other", 0, one.whole(*chunks[:at], theirs[at], *chunks[at + 1 :]))
        yield Trial(f"from chunk {at} on the other", 0, one.whole(*chunks[:at], *theirs[at:]))
        yield Trial(f"chunk {at} after the last one", 0, one.whole(*chunks, chunks[at]))
    yield Trial("no chunk", 0, one.header + one.nonce)
    yield Trial("our header, their payload", 0, one.header + other.nonce + b"".join(theirs))
    yield Trial("their header, our payload", 0, other.header + one.nonce + b"".join(chunks))
    yield Trial("their nonce", 0, one.header + other.nonce + b"".join(chunks))
    yield Trial("both, one after the other", 0, one.whole() + other.whole())
    yield Trial("ours twice", 0, one.whole() + one.whole())
    yield Trial("both payloads", 0, one.whole(*chunks, *theirs))


def at_the_seams(pair: Pair) -> Iterator[Trial]:
    """A byte flipped at both ends of each chunk and of its tag; every length around a seam."""
    sound = pair.first.whole()
    start = len(pair.first.header) + NONCE
    for number in range(len(pair.first.chunks)):
        begin, end = start + number * SEALED, min(len(sound), start + (number + 1) * SEALED)
        for at in (begin, (begin + end) // 2, end - 17, end - 16, end - 1):
            yield Trial(f"byte {at}", at, sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        for length in {*range(end - 18, end), *range(end + 1, end + 18)}:
            if length < len(sound):
                yield Trial(f"cut to {length}", length, sound[:length])


def moved(pair: Pair) -> list[Trial]:
    """All of them but what turned out to be no change: the last chunk stands before nothing but itself."""
    sound = pair.first.whole()
    trials = [trial for trial in (*rearranged(pair), *at_the_seams(pair)) if trial.data != sound]
    assert len(trials) > 150
    return trials


def test_a_stream_gives_a_beginning_of_the_truth_and_then_an_error(pair: Pair) -> None:
    def use(data: bytes) -> None:
        reader, given = AgeReader(io.BytesIO(data), pair.tiny.identities), 0
        while piece := reader.read(70_000):
            assert piece == pair.plaintext[given : given + len(piece)], f"wrong bytes at {given}"
            given += len(piece)

    all_refused(moved(pair), use, PayloadDamaged)


def test_ranges_give_the_truth_or_an_error_and_another_length_is_an_error_at_once(pair: Pair) -> None:
    """The last chunk is authenticated first: no length but the right one opens at all."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    size = len(pair.first.whole())
    unnoticed = []
    for trial in moved(pair):
        try:
            reader = SeekableAgeReader(
                lambda offset, length, data=trial.data: data[offset : offset + length],  # type: ignore[misc]
                len(trial.data),
                pair.tiny.identities,
            )
        except PayloadDamaged:
            continue
        assert len(trial.data) == size, f"{trial.what}: it opened"
        errors = 0
        places = [(chance.randrange(reader.size), chance.randrange(1, 150_000)) for _ in range(10)]
        for offset, length in [*places, (0, reader.size)]:
            try:
                found = reader.read_at(offset, length)
            except PayloadDamaged:
                errors += 1
            else:
                assert found == pair.plaintext[offset : offset + length], f"{trial.what}: wrong bytes at {offset}"
        if not errors:
            unnoticed.append(trial.what)
    assert not unnoticed, f"{BROKEN}: {unnoticed}"


@pytest.mark.parametrize("read", READS)
def test_a_backup_whose_chunks_were_moved_is_refused_and_nothing_wrong_is_used(
    pair: Pair, tmp_path: Path, read: str
) -> None:
    size, place, key = len(pair.first.whole()), tmp_path / "archive", archive_key(pair.chosen)
    sound = pair.tiny.storage.bytes_of(key)

    def use(data: bytes) -> None:
        pair.tiny.storage.plant(key, data)
        uses_the_truth_alone(READS[read](pair.tiny, pair.chosen, place), pair.truth)

    def expected(trial: Trial) -> type[BackupError]:
        return PayloadDamaged if read == "seekable" and len(trial.data) == size else ObjectDamaged

    all_refused(moved(pair), use, expected)
    pair.tiny.storage.plant(key, sound)
    assert not place.exists()


def test_a_stanza_of_another_archive_in_the_header_is_refused(pair: Pair) -> None:
    """Both archives are to the same recipients, so their stanza opens; it is not what the MAC was made over."""
    ours, theirs = pair.first.header.split(b"\n-"), pair.second.header.split(b"\n-")
    assert len(ours) == len(theirs) == 4  # the version line, two stanzas, the MAC
    mixed = [b"\n-".join([*ours[:at], theirs[at], *ours[at + 1 :]]) for at in (1, 2, 3)]
    mixed.append(b"\n-".join([ours[0], ours[2], ours[1], ours[3]]))  # the same two in another order
    mixed.append(b"\n-".join([ours[0], ours[1], ours[1], ours[2], ours[3]]))  # one of them twice
    mixed.append(b"\n-".join([ours[0], ours[1], ours[3]]))  # one left out
    rest = pair.first.whole()[len(pair.first.header) :]
    trials = [Trial(f"header {number}", 0, header + rest) for number, header in enumerate(mixed)]
    all_refused(trials, lambda data: AgeReader(io.BytesIO(data), pair.tiny.identities).read(), HeaderDamaged)
