"""Ed25519 keys for the tests of documents: only what `format.signing` asks of a key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def key_id(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


@dataclass(frozen=True)
class Public:
    key: Ed25519PublicKey

    @property
    def key_id(self) -> str:
        return key_id(self.key)

    def verify(self, message: bytes, signature: bytes) -> None:
        self.key.verify(signature, message)


@dataclass(frozen=True)
class Private:
    key: Ed25519PrivateKey

    @property
    def key_id(self) -> str:
        return key_id(self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)

    @property
    def public(self) -> Public:
        return Public(self.key.public_key())


def private(seed: int) -> Private:
    return Private(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


OURS, THEIRS = private(1), private(2)
