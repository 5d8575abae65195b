"""AES-SIV (RFC 5297) of many short values at once: one call of the cipher takes a block of each of them.

The library seals a value in 1.3 microseconds, nearly all of it the way there and back; here it is a fifth of that. The
block cipher is the library's; what is made of it is proved against the library's own AES-SIV in the tests. Values lie
in a matrix for each length, and go through the cipher together with all that have as many blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.cmac import CMAC

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

BLOCK: Final = 16
_WORTH: Final = 12  # values for each of their blocks: fewer go through the library one by one, which is faster then
_LEFT: Final = np.array([255] * 8 + [127] + [255] * 3 + [127] + [255] * 3, np.uint8)  # RFC 5297, 2.6: two bits of V


class Siv:
    """A key of 64 bytes, with one string of associated data that every value has."""

    def __init__(self, key: bytes, associated: bytes) -> None:
        self._library, self._associated = AESSIV(key), [associated]
        self._mac, self._stream = _Ecb(key[:32]), _Ecb(key[32:])
        zero = np.zeros(BLOCK, np.uint8)
        first = _doubled(self._mac.encrypted(zero))  # RFC 4493, 2.3: the subkeys of CMAC
        self._whole, self._short = first, _doubled(first)
        self._data = _doubled(_cmac(key[:32], zero.tobytes())) ^ np.frombuffer(_cmac(key[:32], associated), np.uint8)

    def seal(self, values: list[Bytes]) -> list[tuple[Bytes, Bytes]]:
        """Each matrix holds values of one length (rows > values, columns > bytes), all of them have as many blocks:
        for each the synthetic vectors and the ciphertexts."""
        if _few(values):
            return [self._sealed_singly(value) for value in values]
        vectors = np.split(self._vectors(values), _starts(values))
        return [(vector, self._crossed(vector, value)) for vector, value in zip(vectors, values, strict=True)]

    def open(self, sealed: list[tuple[Bytes, Bytes]]) -> list[Bytes] | None:
        """The values again; None where one of them does not authenticate."""
        if _few([value for _, value in sealed]):
            try:
                return [self._opened_singly(*one) for one in sealed]
            except InvalidTag:
                return None
        values = [self._crossed(vector, value) for vector, value in sealed]
        given = np.concatenate([vector for vector, _ in sealed])
        return values if np.array_equal(self._vectors(values), given) else None

    def _sealed_singly(self, values: Bytes) -> tuple[Bytes, Bytes]:
        made = b"".join([self._library.encrypt(value.tobytes(), self._associated) for value in values])
        both = np.frombuffer(made, np.uint8).reshape(len(values), -1)
        return both[:, :BLOCK], both[:, BLOCK:]

    def _opened_singly(self, vectors: Bytes, values: Bytes) -> Bytes:
        """Raises InvalidTag."""
        pairs = zip(vectors, values, strict=True)
        made = b"".join(
            [self._library.decrypt(vector.tobytes() + value.tobytes(), self._associated) for vector, value in pairs]
        )
        return np.frombuffer(made, np.uint8).reshape(values.shape)

    def _vectors(self, values: list[Bytes]) -> Bytes:
        """S2V (RFC 5297, 2.4): the CMAC of each value, mixed with the associated data's."""
        blocks = blocks_of(values[0].shape[1])
        text = np.zeros((sum(map(len, values)), blocks * BLOCK), np.uint8)
        at = 0
        for value in values:
            rows, size = text[at : at + len(value)], value.shape[1]
            at += len(value)
            rows[:, :size] = value
            if size < BLOCK:
                rows[:, size] = 0x80
                rows ^= _doubled(self._data) ^ self._whole
                continue
            rows[:, size - BLOCK : size] ^= self._data
            if size % BLOCK:
                rows[:, size] = 0x80
            rows[:, -BLOCK:] ^= self._short if size % BLOCK else self._whole
        made = text[:, :BLOCK]
        for place in range(BLOCK, blocks * BLOCK, BLOCK):
            made = self._mac.encrypted(made) ^ text[:, place : place + BLOCK]
        return self._mac.encrypted(made)

    def _crossed(self, vectors: Bytes, values: Bytes) -> Bytes:
        """Values to ciphertexts or back: CTR from the vector, whose last 31 bits count without a carry."""
        size = values.shape[1]
        counters = np.repeat((vectors & _LEFT)[:, None, :], blocks_of(size), axis=1)
        counters.view(">u4")[:, :, 3] += np.arange(blocks_of(size), dtype=np.uint32)
        stream = self._stream.encrypted(counters).reshape(len(values), -1)
        return values ^ stream[:, :size]


def blocks_of(size: int) -> int:
    """How many blocks a value of so many bytes takes."""
    return max(1, -(-size // BLOCK))


def by_length(values: pa.Array, growth: int, change: Callable[[list[Bytes], list[Bytes]], None]) -> pa.Array:
    """Changes binary values, none NULL, of which each comes out ``growth`` bytes longer, at least 0 long.

    ``change`` gets matrices of them, those of as many blocks together, and as many to fill. Raises what it raises.
    """
    ends = np.frombuffer(values.buffers()[1] or bytes(4), np.int32, len(values) + 1, 4 * values.offset)
    lengths = np.diff(ends)
    order = np.argsort(lengths, kind="stable")
    ordered = values.take(_indices(order))
    text = np.frombuffer(ordered.buffers()[2] or b"", np.uint8)
    sizes, counts = np.unique(lengths, return_counts=True)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths[order] + growth, dtype=np.int32)])
    out = np.empty(offsets[-1], np.uint8)
    groups: dict[int, tuple[list[Bytes], list[Bytes]]] = {}
    start = made = 0
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        short = size + min(growth, 0)
        given, taken = groups.setdefault(blocks_of(short), ([], []))
        given.append(text[start : start + count * size].reshape(count, size))
        taken.append(out[made : made + count * (size + growth)].reshape(count, size + growth))
        start, made = start + count * size, made + count * (size + growth)
    for given, taken in groups.values():
        change(given, taken)
    changed = pa.Array.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(out)])
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return changed.take(_indices(places))


def _indices(places: Any) -> pa.Array:
    return pl.Series(places).to_arrow()  # pa.array would load pandas, which takes 45 MB


def _starts(values: list[Bytes]) -> list[int]:
    return list(accumulate(len(value) for value in values[:-1]))


def _few(values: list[Bytes]) -> bool:
    return sum(map(len, values)) < _WORTH * blocks_of(values[0].shape[1])


class _Ecb:
    """A block cipher, of any number of blocks that have nothing to do with each other."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305  # what SIV is made of

    def encrypted(self, blocks: Bytes) -> Bytes:
        out = np.empty(blocks.size + BLOCK - 1, np.uint8)  # the library wants room for one more
        self._cipher.encryptor().update_into(np.ascontiguousarray(blocks).data.cast("B"), out.data)
        return out[: blocks.size].reshape(blocks.shape)


def _cmac(key: bytes, data: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def _doubled(block: bytes | Bytes) -> Bytes:
    """RFC 5297, 2.3: times two in the field of 2^128 elements."""
    number = int.from_bytes(bytes(block), "big") << 1
    number = (number & (1 << 128) - 1) ^ (0x87 if number >> 128 else 0)
    return np.frombuffer(number.to_bytes(BLOCK, "big"), np.uint8)
