"""The post-quantum recipient type (C2SP age, "The MLKEM768-X25519 hybrid post-quantum recipient type").

HPKE (RFC 9180) base mode with the X-Wing KEM, HKDF-SHA256 and ChaCha20-Poly1305. Both halves have to be
broken before an archive opens.
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey, Suite

from rlg_backup.core.errors import HeaderDamaged, KeyMalformed
from rlg_backup.format.age import bech32
from rlg_backup.format.age.header import Stanza, encode_base64
from rlg_backup.format.age.recipients import Identity, Recipient, decode_key, stanza_share

KIND = "mlkem768x25519"
RECIPIENT_PREFIX = "age1pq"
IDENTITY_PREFIX = "age-secret-key-pq-"
_SEED, _MLKEM_SEED, _MLKEM_PUBLIC, _POINT, _ENCAPSULATED = 32, 64, 1184, 32, 1120
_INFO = b"age-encryption.org/mlkem768x25519"


class HybridRecipient(Recipient):
    """``age1pq1...``: an ML-KEM-768 encapsulation key and an X25519 point, 1,216 bytes."""

    kind = KIND

    def __init__(self, public: bytes) -> None:
        self.text = bech32.encode(RECIPIENT_PREFIX, public)
        self._key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
        )

    @classmethod
    def parse(cls, text: str) -> HybridRecipient:
        """Raises KeyMalformed."""
        public = decode_key(text, RECIPIENT_PREFIX, _MLKEM_PUBLIC + _POINT, "age recipient")
        try:
            recipient = cls(public)
            recipient.wrap(bytes(16))
        except ValueError:
            raise KeyMalformed("read", "age recipient", "it is not a key that can be encrypted to") from None
        return recipient

    def wrap(self, file_key: bytes) -> Stanza:
        sealed = _suite().encrypt(file_key, self._key, _INFO)
        share = encode_base64(sealed[:_ENCAPSULATED]).decode("ascii")
        return Stanza((KIND, share), sealed[_ENCAPSULATED:])


class HybridIdentity(Identity):
    """``AGE-SECRET-KEY-PQ-1...``: a 32-byte seed, from which SHAKE256 makes the keys of both halves."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        expanded = hashlib.shake_256(seed).digest(_MLKEM_SEED + 32)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED])
        self._x25519 = x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED:])
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        self._recipient = HybridRecipient(
            mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        )

    @classmethod
    def generate(cls) -> HybridIdentity:
        return cls(secrets.token_bytes(_SEED))

    @classmethod
    def parse(cls, text: str) -> HybridIdentity:
        """Raises KeyMalformed."""
        return cls(decode_key(text, IDENTITY_PREFIX, _SEED, "age identity"))

    @property
    def text(self) -> str:
        return bech32.encode(IDENTITY_PREFIX, self._seed).upper()

    @property
    def recipient(self) -> HybridRecipient:
        return self._recipient

    def unwrap(self, stanza: Stanza, name: str) -> bytes | None:
        if stanza.arguments[0] != KIND:
            return None
        share = stanza_share(stanza, _ENCAPSULATED, name)
        try:
            self._x25519.exchange(X25519PublicKey.from_public_bytes(share[-_POINT:]))
        except ValueError:  # HPKE would only say that it does not open
            raise HeaderDamaged("decrypt", name, f"the share of a {KIND} stanza has a point of low order") from None
        try:
            return _suite().decrypt(share + stanza.body, self._key, _INFO)
        except InvalidTag:
            return None


def _suite() -> Suite:
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
