"""The X25519 recipient type (C2SP age, "The X25519 recipient type")."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rlg_backup.core.errors import HeaderDamaged, KeyMalformed
from rlg_backup.format.age import bech32
from rlg_backup.format.age.header import Stanza, encode_base64
from rlg_backup.format.age.recipients import Identity, Recipient, decode_key, stanza_share

KIND = "X25519"
RECIPIENT_PREFIX = "age"
IDENTITY_PREFIX = "age-secret-key-"
_LENGTH = 32
_INFO = b"age-encryption.org/v1/X25519"
_NONCE = bytes(12)  # each wrap key is used once


class X25519Recipient(Recipient):
    """``age1...``"""

    kind = KIND

    def __init__(self, point: bytes) -> None:
        self.point = point
        self.text = bech32.encode(RECIPIENT_PREFIX, point)

    @classmethod
    def parse(cls, text: str) -> X25519Recipient:
        """Raises KeyMalformed."""
        recipient = cls(decode_key(text, RECIPIENT_PREFIX, _LENGTH, "age recipient"))
        try:
            recipient.wrap(bytes(16))
        except ValueError:
            raise KeyMalformed("read", "age recipient", "it is a point of low order, which hides nothing") from None
        return recipient

    def wrap(self, file_key: bytes) -> Stanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self.point))
        body = _cipher(shared, share, self.point).encrypt(_NONCE, file_key, None)
        return Stanza((KIND, encode_base64(share).decode("ascii")), body)


class X25519Identity(Identity):
    """``AGE-SECRET-KEY-1...``"""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self._recipient = X25519Recipient(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> X25519Identity:
        return cls(secrets.token_bytes(_LENGTH))

    @classmethod
    def parse(cls, text: str) -> X25519Identity:
        """Raises KeyMalformed."""
        return cls(decode_key(text, IDENTITY_PREFIX, _LENGTH, "age identity"))

    @property
    def text(self) -> str:
        return bech32.encode(IDENTITY_PREFIX, self._secret).upper()

    @property
    def recipient(self) -> X25519Recipient:
        return self._recipient

    def unwrap(self, stanza: Stanza, name: str) -> bytes | None:
        if stanza.arguments[0] != KIND:
            return None
        share = stanza_share(stanza, _LENGTH, name)
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError:  # the all-zero secret that a share of low order gives
            raise HeaderDamaged("decrypt", name, f"the share of a {KIND} stanza is a point of low order") from None
        try:
            return _cipher(shared, share, self._recipient.point).decrypt(_NONCE, stanza.body, None)
        except InvalidTag:
            return None


def _cipher(shared: bytes, share: bytes, point: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=share + point, info=_INFO).derive(shared))
