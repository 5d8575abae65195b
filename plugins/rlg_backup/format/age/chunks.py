"""STREAM chunks of an age payload (C2SP age, "Payload"): sizes, and sealing and opening runs of them.

A payload is a 16-byte nonce and chunks of 64 KiB, each sealed with ChaCha20-Poly1305 under a nonce made of
its number and of whether it is the last. Only the last may be shorter; it is empty only in an empty payload.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rlg_backup.core.errors import PayloadDamaged

CHUNK = 64 * 1024  # bytes of plaintext
TAG = 16
SEALED = CHUNK + TAG
NONCE = 16
RUN = 16  # chunks handled at a time: 1 MiB, past which throughput no longer grows


def payload_cipher(key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    """The cipher of a payload: ``key`` is a file key of 16 bytes, or a staging key of 32."""
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=nonce, info=b"payload").derive(key))


def chunk_nonce(number: int, last: bool) -> bytes:
    """11 bytes of the chunk's number, from 0, and one that is 1 for the last."""
    return (number << 8 | last).to_bytes(12, "big")


def seal_run(cipher: ChaCha20Poly1305, first: int, plain: memoryview, last: bool, out: memoryview) -> int:
    """Seal ``plain`` as chunks from number ``first`` into ``out``: how many bytes that made.

    ``plain`` holds whole chunks; with ``last`` its end, which may be short, becomes the last chunk.
    """
    count = max(1, -(-len(plain) // CHUNK))
    for index in range(count):
        part = plain[index * CHUNK : (index + 1) * CHUNK]
        at = index * SEALED
        nonce = chunk_nonce(first + index, last and index == count - 1)
        cipher.encrypt_into(nonce, part, None, out[at : at + len(part) + TAG])
    return len(plain) + count * TAG


class RunDamaged(Exception):
    """A chunk of a run fails its authentication; ``opened`` chunks before it did not."""

    def __init__(self, opened: int) -> None:
        super().__init__(opened)
        self.opened = opened


def open_run(cipher: ChaCha20Poly1305, first: int, sealed: memoryview, last: bool, out: memoryview) -> int:
    """Open chunks from number ``first`` into ``out``: how many bytes that gave; RunDamaged when one fails.

    ``sealed`` holds whole chunks; with ``last`` its end, at least a tag, is the last one. What ``out`` holds
    past the chunks that opened is not authenticated and must not be used.
    """
    count = -(-len(sealed) // SEALED)
    for index in range(count):
        part = sealed[index * SEALED : (index + 1) * SEALED]
        at = index * CHUNK
        nonce = chunk_nonce(first + index, last and index == count - 1)
        try:
            cipher.decrypt_into(nonce, part, None, out[at : at + len(part) - TAG])
        except InvalidTag:
            raise RunDamaged(index) from None
    return len(sealed) - count * TAG


def chunk_fault(cipher: ChaCha20Poly1305, number: int, sealed: memoryview, last: bool, name: str) -> PayloadDamaged:
    """Why a chunk does not open at its place: cut after it, more after the end, or damaged."""
    try:
        cipher.decrypt(chunk_nonce(number, not last), sealed, None)
    except InvalidTag:
        return PayloadDamaged("decrypt", name, f"chunk {number} fails its authentication")
    if last:
        return PayloadDamaged("decrypt", name, f"it is cut after chunk {number}, which is not its last")
    return PayloadDamaged("decrypt", name, f"bytes follow chunk {number}, which is its last")


def plaintext_size(sealed: int, name: str) -> int:
    """The size of the plaintext in ``sealed`` bytes of chunks (the nonce not counted)."""
    count = -(-sealed // SEALED)
    tail = sealed - (count - 1) * SEALED
    if sealed <= 0:
        raise PayloadDamaged("decrypt", name, "it has no chunk")
    if tail < TAG or (tail == TAG and count > 1):
        raise PayloadDamaged("decrypt", name, f"its last chunk is of {tail} bytes, which none can be")
    return sealed - count * TAG
