"""Reading by ranges: the same bytes as a stream gives, few requests, and the length proven first."""

from __future__ import annotations

import io
import itertools
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import PayloadDamaged, StorageUnavailable
from rlg_backup.format.age import PayloadWriter, SeekablePayloadReader
from rlg_backup.format.age.chunks import CHUNK, NONCE, SEALED, TAG
from rlg_backup.format.age.seek import BATCH, CACHED

KEY = bytes(range(16))
PATTERN = bytes(itertools.islice(itertools.cycle(range(251)), (BATCH + 6) * CHUNK + 300))


class Ranges:
    """A store of one object that remembers which ranges were asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def __call__(self, offset: int, length: int) -> bytes:
        assert offset >= 0 and length > 0 and offset + length <= len(self.data)
        self.asked.append((offset, length))
        return self.data[offset : offset + length]


def seal(plain: bytes) -> bytes:
    sink = io.BytesIO()
    with PayloadWriter(sink, KEY) as writer:
        writer.write(plain)
    return sink.getvalue()


LARGE = seal(PATTERN)
FIVE = seal(PATTERN[: 5 * CHUNK + 11])


def reader_of(data: bytes) -> tuple[SeekablePayloadReader, Ranges]:
    ranges = Ranges(data)
    return SeekablePayloadReader(ranges, len(data), KEY), ranges


def refused(data: bytes) -> str:
    with pytest.raises(PayloadDamaged) as caught:
        reader, _ = reader_of(data)
        reader.read_at(0, reader.size)
    return str(caught.value).removeprefix("unable to decrypt 'payload': ")


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_size_is_that_of_the_plaintext_and_all_of_it_comes_back(size: int) -> None:
    reader, _ = reader_of(seal(PATTERN[:size]))
    assert reader.size == size
    assert reader.read_at(0, size) == PATTERN[:size]
    assert reader.read_at(0, size + 100) == PATTERN[:size]
    assert reader.read_at(size, 5) == b"" == reader.read_at(size + 5, 5)


@given(st.lists(st.tuples(st.integers(0, 5 * CHUNK + 20), st.integers(0, 4 * CHUNK)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_ranges_in_any_order_are_those_of_the_plaintext(ranges: list[tuple[int, int]]) -> None:
    reader, _ = reader_of(FIVE)
    plain = PATTERN[: 5 * CHUNK + 11]
    for offset, length in ranges:
        assert reader.read_at(offset, length) == plain[offset : offset + length]


def test_a_negative_range_is_a_mistake_of_the_caller() -> None:
    reader, _ = reader_of(FIVE)
    for offset, length in ((-1, 1), (0, -1)):
        with pytest.raises(ValueError, match=r"^an offset and a length are not negative$"):
            reader.read_at(offset, length)


def test_the_last_chunk_is_read_before_any_other() -> None:
    _, ranges = reader_of(FIVE)
    assert ranges.asked == [(0, NONCE), (NONCE + 5 * SEALED, 11 + TAG)]


def test_contiguous_chunks_are_asked_for_in_one_range() -> None:
    reader, ranges = reader_of(FIVE)
    del ranges.asked[:]
    reader.read_at(10, 3 * CHUNK)
    assert ranges.asked == [(NONCE, 4 * SEALED)]


def test_a_large_read_asks_for_no_more_than_a_batch_at_a_time() -> None:
    reader, ranges = reader_of(LARGE)
    del ranges.asked[:]
    assert reader.read_at(0, reader.size) == PATTERN
    assert [length for _, length in ranges.asked] == [BATCH * SEALED, 6 * SEALED]


def test_what_lies_in_a_chunk_that_was_just_read_is_not_asked_for_again() -> None:
    reader, ranges = reader_of(FIVE)
    reader.read_at(CHUNK + 5, 100)
    del ranges.asked[:]
    for offset in range(CHUNK + 105, 2 * CHUNK - 100, 1000):
        reader.read_at(offset, 100)
    reader.read_at(5 * CHUNK, 11)  # the last chunk, read at the start
    assert ranges.asked == []
    reader.read_at(0, 3 * CHUNK)  # 0, and 2, around the one that is at hand
    assert ranges.asked == [(NONCE, SEALED), (NONCE + 2 * SEALED, SEALED)]


def test_a_chunk_of_which_only_the_end_was_handed_out_is_kept_too() -> None:
    reader, ranges = reader_of(FIVE)
    reader.read_at(CHUNK + 5, CHUNK - 5)
    del ranges.asked[:]
    assert reader.read_at(CHUNK, 5) == PATTERN[CHUNK : CHUNK + 5]
    assert ranges.asked == []


def test_the_chunks_kept_are_few_however_much_is_read() -> None:
    reader, _ = reader_of(LARGE)
    for number in range(BATCH):
        reader.read_at(number * CHUNK + 1, 2)
    assert len(reader._cache) == CACHED


def test_every_flipped_byte_of_a_small_payload_is_noticed() -> None:
    data = seal(b"forty bytes of a small table's only rows")
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        assert refused(bytes(damaged)) == "chunk 0 fails its authentication"


def test_every_truncation_of_a_small_payload_is_noticed_before_a_byte_is_read() -> None:
    data = seal(b"forty bytes of a small table's only rows")
    for length in range(len(data)):
        with pytest.raises(PayloadDamaged):
            reader_of(data[:length])


@pytest.mark.parametrize("chunk", range(6))
def test_a_flip_in_a_chunk_spoils_that_chunk_and_leaves_the_others_readable(chunk: int) -> None:
    data = bytearray(FIVE)
    data[NONCE + chunk * SEALED + 5] ^= 1
    cause = f"^unable to decrypt 'payload': chunk {chunk} fails its authentication$"
    if chunk == 5:
        with pytest.raises(PayloadDamaged, match=cause):
            reader_of(bytes(data))
        return
    reader, _ = reader_of(bytes(data))
    for number in range(5):
        if number != chunk:
            assert reader.read_at(number * CHUNK, CHUNK) == PATTERN[number * CHUNK : (number + 1) * CHUNK]
    for offset, length in ((chunk * CHUNK, 1), (0, 5 * CHUNK)):
        with pytest.raises(PayloadDamaged, match=cause):
            reader.read_at(offset, length)


@pytest.mark.parametrize("chunks", range(1, 6))
def test_a_payload_cut_between_chunks_does_not_open(chunks: int) -> None:
    cut = FIVE[: NONCE + chunks * SEALED]
    assert refused(cut) == f"it is cut after chunk {chunks - 1}, which is not its last"
    assert refused(cut + bytes(TAG)) == "its last chunk is of 16 bytes, which none can be"


def test_a_payload_with_bytes_after_its_end_does_not_open() -> None:
    data = seal(PATTERN[: 2 * CHUNK])
    assert refused(data + bytes(3)) == "its last chunk is of 3 bytes, which none can be"
    assert refused(data + bytes(40)) == "chunk 2 fails its authentication"
    assert refused(data + data[-SEALED:]) == "chunk 2 fails its authentication"


def test_swapped_chunks_are_refused() -> None:
    first, second = FIVE[NONCE : NONCE + SEALED], FIVE[NONCE + SEALED : NONCE + 2 * SEALED]
    data = FIVE[:NONCE] + second + first + FIVE[NONCE + 2 * SEALED :]
    assert refused(data) == "chunk 0 fails its authentication"


def test_a_store_that_gives_less_than_asked_is_named() -> None:
    with pytest.raises(PayloadDamaged) as caught:
        SeekablePayloadReader(lambda offset, length: FIVE[offset : offset + length - 1], len(FIVE), KEY)
    assert str(caught.value) == "unable to decrypt 'payload': of 16 bytes at 0 the storage gave 15"


def test_an_error_of_the_store_passes_through_and_the_reader_can_be_used_again() -> None:
    failing = False

    def read(offset: int, length: int) -> bytes:
        if failing:
            raise StorageUnavailable("read", "default.zip.age", "the target does not answer")
        return FIVE[offset : offset + length]

    reader = SeekablePayloadReader(read, len(FIVE), KEY)
    failing = True
    with pytest.raises(StorageUnavailable):
        reader.read_at(0, 10)
    failing = False
    assert reader.read_at(0, 10) == PATTERN[:10]


@given(st.lists(st.tuples(st.sampled_from(["read", "seek", "end", "back"]), st.integers(0, 3 * CHUNK)), max_size=12))
@settings(max_examples=40, deadline=None)
def test_as_a_file_it_behaves_as_the_plaintext_s_own_file(steps: list[tuple[str, int]]) -> None:
    file, model = reader_of(FIVE)[0].as_file(), io.BytesIO(PATTERN[: 5 * CHUNK + 11])
    for step, amount in steps:
        if step == "read":
            assert file.read(amount) == model.read(amount)
        elif step == "seek":
            assert file.seek(amount) == model.seek(amount)
        elif step == "end":
            assert file.seek(-min(amount, 5 * CHUNK), io.SEEK_END) == model.seek(-min(amount, 5 * CHUNK), io.SEEK_END)
        else:
            back = -min(amount, model.tell())
            assert file.seek(back, io.SEEK_CUR) == model.seek(back, io.SEEK_CUR)
        assert file.tell() == model.tell()
    assert file.read() == model.read()


def test_a_zip_is_read_from_its_directory_without_reading_the_rest() -> None:
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        for number in range(8):
            archive.writestr(f"member-{number}", bytes([number]) * 2 * CHUNK)
    reader, ranges = reader_of(seal(plain.getvalue()))
    with zipfile.ZipFile(io.BufferedReader(reader.as_file(), CHUNK)) as archive:
        assert archive.read("member-3") == bytes([3]) * 2 * CHUNK
    assert sum(length for _, length in ranges.asked) < 6 * SEALED


def test_a_closed_or_misused_file_says_so() -> None:
    file = reader_of(FIVE)[0].as_file()
    with pytest.raises(ValueError, match=r"^there is no such position$"):
        file.seek(-1)
    with pytest.raises(ValueError, match=r"^there is no such position$"):
        file.seek(0, 9)
    file.close()
    for use in (file.tell, file.readall, lambda: file.seek(0), lambda: file.readinto(bytearray(1))):
        with pytest.raises(ValueError, match=r"^the file is closed$"):
            use()
