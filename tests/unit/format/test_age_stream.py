"""Payloads as streams: what goes in comes out, in any pieces, and nothing that was not authenticated."""

from __future__ import annotations

import io
import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import PayloadDamaged
from rlg_backup.format.age import PayloadReader, PayloadWriter
from rlg_backup.format.age.chunks import CHUNK, NONCE, RUN, SEALED, TAG, chunk_nonce, payload_cipher

KEY = bytes(range(32))
PATTERN = bytes(itertools.islice(itertools.cycle(range(251)), (RUN + 2) * CHUNK + 300))
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1]
SIZES += [RUN * CHUNK - 1, RUN * CHUNK, RUN * CHUNK + 1, (RUN + 1) * CHUNK, (RUN + 1) * CHUNK + 1]


def sealed(size: int) -> bytes:
    sink = io.BytesIO()
    with PayloadWriter(sink, KEY) as writer:
        writer.write(PATTERN[:size])
    return sink.getvalue()


def opened(data: bytes) -> bytes:
    return PayloadReader(io.BytesIO(data), KEY).read()


def refused(data: bytes) -> str:
    with pytest.raises(PayloadDamaged) as caught:
        opened(data)
    return str(caught.value).removeprefix("unable to decrypt 'payload': ")


@pytest.mark.parametrize("size", SIZES)
def test_a_payload_of_any_size_comes_back_and_is_as_long_as_the_specification_says(size: int) -> None:
    data = sealed(size)
    assert len(data) == NONCE + size + TAG * max(1, -(-size // CHUNK))
    assert opened(data) == PATTERN[:size]


class Trickle(io.RawIOBase):
    """A stream that gives few bytes at a time, as a socket does."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = io.BytesIO(data), step

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(self._step if size < 0 else min(size, self._step))


@given(
    pieces=st.lists(st.sampled_from([0, 1, 7, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]), max_size=6),
    reads=st.lists(st.sampled_from([4999, CHUNK, CHUNK + 1, 2 * RUN * CHUNK]), min_size=1, max_size=4),
    step=st.sampled_from([1000, CHUNK, 10 * SEALED]),
)
@settings(max_examples=60, deadline=None)
def test_the_pieces_it_is_written_and_read_in_do_not_matter(pieces: list[int], reads: list[int], step: int) -> None:
    sink = io.BytesIO()
    with PayloadWriter(sink, KEY) as writer:
        at = 0
        for piece in pieces:
            assert writer.write(memoryview(PATTERN)[at : at + piece]) == piece
            at += piece
    reader = PayloadReader(Trickle(sink.getvalue(), step), KEY)  # type: ignore[arg-type]
    found = bytearray()
    for size in itertools.cycle(reads):
        part = reader.read(size)
        found += part
        assert len(part) == size or len(found) == at
        if not part:
            break
    assert bytes(found) == PATTERN[:at]


def test_every_way_of_reading_gives_the_same_bytes() -> None:
    size = (RUN + 1) * CHUNK + 17
    data = sealed(size)

    def reader() -> PayloadReader:
        return PayloadReader(io.BytesIO(data), KEY)

    assert reader().read(None) == PATTERN[:size]
    assert b"".join(iter(reader().read1, b"")) == PATTERN[:size]
    buffer = bytearray(size + 9)
    assert reader().readinto(buffer) == size
    assert buffer[:size] == PATTERN[:size]
    text = io.TextIOWrapper(reader(), "latin-1", newline="").read()  # type: ignore[type-var]
    assert text.encode("latin-1") == PATTERN[:size]
    assert reader().read(0) == b"" == reader().read1(0)


def test_a_staging_key_and_a_file_key_of_the_same_start_give_different_payloads() -> None:
    with pytest.raises(PayloadDamaged) as caught:
        PayloadReader(io.BytesIO(sealed(5)), KEY[:16]).read()
    assert str(caught.value) == "unable to decrypt 'payload': chunk 0 fails its authentication"


def test_every_flipped_byte_of_a_small_payload_is_noticed() -> None:
    data = sealed(40)
    for at in range(len(data)):
        for mask in (1, 0x80):
            damaged = bytearray(data)
            damaged[at] ^= mask
            assert refused(bytes(damaged)) == "chunk 0 fails its authentication"


@pytest.mark.parametrize("chunk", [0, 1, RUN - 1, RUN, RUN + 1])
def test_a_flip_in_a_later_chunk_gives_what_stands_before_it_and_then_the_fault_for_good(chunk: int) -> None:
    data = bytearray(sealed((RUN + 1) * CHUNK + 9))
    data[NONCE + chunk * SEALED + 3] ^= 4
    reader = PayloadReader(io.BytesIO(bytes(data)), KEY)
    found = bytearray()
    with pytest.raises(PayloadDamaged) as caught:
        while part := reader.read1():
            found += part
    assert str(caught.value) == f"unable to decrypt 'payload': chunk {chunk} fails its authentication"
    assert bytes(found) == PATTERN[: chunk * CHUNK]
    for again in (reader.read, reader.read1):
        with pytest.raises(PayloadDamaged, match=f"chunk {chunk} fails"):
            again(1)


def test_every_truncation_of_a_small_payload_is_noticed() -> None:
    data = sealed(40)
    for length in range(len(data)):
        cause = refused(data[:length])
        if length < NONCE:
            assert cause == "it ends within the nonce of its payload"
        elif length == NONCE:
            assert cause == "it has no chunk"
        elif length < NONCE + TAG:
            assert cause == f"its last chunk is of {length - NONCE} bytes, which none can be"
        else:
            assert cause == "chunk 0 fails its authentication"


@pytest.mark.parametrize("chunks", [1, 2, RUN - 1, RUN, RUN + 1])
def test_a_cut_between_chunks_is_named_as_a_cut(chunks: int) -> None:
    data = sealed((RUN + 1) * CHUNK + 9)
    assert refused(data[: NONCE + chunks * SEALED]) == f"it is cut after chunk {chunks - 1}, which is not its last"
    cut = data[: NONCE + chunks * SEALED + 10]
    assert refused(cut) == "its last chunk is of 10 bytes, which none can be"


@pytest.mark.parametrize("size", [CHUNK, 2 * CHUNK, RUN * CHUNK, (RUN + 1) * CHUNK])
@pytest.mark.parametrize("extra", [1, TAG, 500, SEALED, SEALED + 1])
def test_bytes_after_the_last_chunk_are_refused(size: int, extra: int) -> None:
    cause = refused(sealed(size) + bytes(extra))
    number = size // CHUNK - 1
    assert cause in (
        f"bytes follow chunk {number}, which is its last",
        f"its last chunk is of {extra} bytes, which none can be",
    )


@pytest.mark.parametrize("size", [0, 5])
def test_bytes_after_a_short_last_chunk_are_refused(size: int) -> None:
    for extra in (b"\0", bytes(TAG), bytes(2 * SEALED)):
        assert refused(sealed(size) + extra) == "chunk 0 fails its authentication"


def test_chunks_swapped_repeated_or_left_out_are_refused() -> None:
    data = sealed(4 * CHUNK)
    nonce, chunks = data[:NONCE], [data[NONCE + i * SEALED :][:SEALED] for i in range(4)]
    for order in ([1, 0, 2, 3], [0, 0, 1, 2, 3], [0, 2, 3], [3], [0, 1, 2]):
        moved = nonce + b"".join(chunks[i] for i in order)
        assert refused(moved).split()[0] in ("chunk", "it")
        assert PATTERN[: 4 * CHUNK].startswith(b"".join(authentic(moved)))


def authentic(data: bytes) -> list[bytes]:
    """What a reader gives before it refuses the rest."""
    reader, found = PayloadReader(io.BytesIO(data), KEY), []
    with pytest.raises(PayloadDamaged):
        while part := reader.read1():
            found.append(part)
    return found


def test_an_empty_last_chunk_after_others_is_refused() -> None:
    nonce = bytes(NONCE)
    cipher = payload_cipher(KEY, nonce)
    whole = cipher.encrypt(chunk_nonce(0, False), bytes(CHUNK), None)
    assert refused(nonce + whole + cipher.encrypt(chunk_nonce(1, True), b"", None)) == (
        "its last chunk is of 16 bytes, which none can be"
    )


def test_what_was_not_closed_does_not_open() -> None:
    sink = io.BytesIO()
    with pytest.raises(RuntimeError), PayloadWriter(sink, KEY) as writer:
        writer.write(PATTERN[: 2 * CHUNK])
        raise RuntimeError("the run is killed here")
    assert not writer.whole
    assert refused(sink.getvalue()) == "it is cut after chunk 0, which is not its last"
    with pytest.raises(ValueError, match=r"^write to a payload that is closed, or whose sink failed$"):
        writer.write(b"more")


def test_a_forgotten_writer_does_not_become_whole_when_it_is_collected() -> None:
    sink = io.BytesIO()
    writer = PayloadWriter(sink, KEY)
    writer.write(b"x")
    del writer
    assert len(sink.getvalue()) == NONCE


class FullDisk(io.BytesIO):
    """Refuses the ``nth`` write, once."""

    def __init__(self, nth: int) -> None:
        super().__init__()
        self.left = nth

    def write(self, data: object) -> int:
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")
        return super().write(data)  # type: ignore[arg-type]


def test_after_its_sink_failed_a_payload_can_neither_go_on_nor_be_closed_whole() -> None:
    sink = FullDisk(nth=2)
    writer = PayloadWriter(sink, KEY)
    with pytest.raises(OSError, match="No space left"):
        writer.write(PATTERN[: 3 * CHUNK])
    with pytest.raises(ValueError, match=r"^write to a payload that is closed, or whose sink failed$"):
        writer.write(b"more")
    writer.close()
    assert not writer.whole
    assert refused(sink.getvalue()) == "it has no chunk"


def test_a_last_write_that_fails_leaves_a_payload_that_is_not_whole() -> None:
    sink = FullDisk(nth=2)
    writer = PayloadWriter(sink, KEY)
    writer.write(b"short")
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    assert writer.closed
    assert not writer.whole


def test_a_raw_sink_that_takes_less_at_a_time_gets_all_of_it() -> None:
    class Raw(io.BytesIO):
        def write(self, data: object) -> int:
            return super().write(bytes(data)[:1000])  # type: ignore[call-overload]

    sink = Raw()
    with PayloadWriter(sink, KEY) as writer:
        writer.write(PATTERN[:5000])
    assert opened(sink.getvalue()) == PATTERN[:5000]


def test_closing_again_writes_nothing_and_the_sink_stays_open() -> None:
    sink = io.BytesIO()
    writer = PayloadWriter(sink, KEY)
    writer.close()
    size = len(sink.getvalue())
    writer.close()
    assert (len(sink.getvalue()), sink.closed, writer.whole) == (size, False, True)


def test_the_same_plaintext_never_gives_the_same_payload_twice() -> None:
    assert sealed(10) != sealed(10)


def test_the_memory_of_a_stream_does_not_grow_with_its_size() -> None:
    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    def peak(times: int) -> int:
        tracemalloc.start()
        with PayloadWriter(Nowhere(), KEY) as writer:
            for _ in range(times):
                writer.write(PATTERN)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(30) < peak(3) * 1.1


def test_reading_takes_no_more_memory_than_a_few_runs() -> None:
    sink = io.BytesIO()
    with PayloadWriter(sink, KEY) as writer:
        for _ in range(8):
            writer.write(PATTERN)
    sink.seek(0)
    tracemalloc.start()
    reader = PayloadReader(sink, KEY)
    read = sum(len(part) for part in iter(lambda: reader.read(100_000), b""))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read == 8 * len(PATTERN)
    assert peak < 4 * RUN * CHUNK < read
