"""Tokens and keyed hashes (docs/FORMAT.md, section 7): what becomes of a value under the tokenization key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..core.errors import KeyMalformed

KEY_SIZE = 32
VERSION = 1
PREFIX_SIZE = 5  # the version and four bytes of the key id
OVERHEAD = PREFIX_SIZE + 16  # what a token is longer than its plaintext
_ASSOCIATED = [b"rlg-backup token 1"]


class TokenDamaged(Exception):
    """A token of this key does not authenticate. Stays inside the package: callers name the column."""


class TokenKey:
    """What is derived from the 32 bytes of a tokenization key. Raises KeyMalformed for another size.

    ``prefix`` begins every token made with the key and is no secret: the version and the start of the key id.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise KeyMalformed("use", "the tokenization key", f"it has {len(key)} bytes, not {KEY_SIZE}")
        self.prefix = bytes([VERSION]) + hashlib.sha256(key).digest()[: PREFIX_SIZE - 1]
        self._siv = AESSIV(HKDF(SHA256(), 64, None, b"rlg-backup siv 1").derive(key))
        self._hash_key = HKDF(SHA256(), 32, None, b"rlg-backup hash 1").derive(key)

    def __repr__(self) -> str:
        return f"TokenKey({self.prefix[1:].hex()}...)"

    def tokens(self, plaintexts: Sequence[bytes]) -> list[bytes]:
        """A token for each plaintext; equal ones give equal tokens. Measured: 1.3 microseconds each."""
        encrypt, associated, prefix = self._siv.encrypt, _ASSOCIATED, self.prefix
        return [prefix + encrypt(plaintext, associated) for plaintext in plaintexts]

    def plaintexts(self, tokens: Sequence[bytes]) -> list[bytes]:
        """The plaintexts of tokens that begin with ``prefix``; raises TokenDamaged."""
        decrypt, associated, start = self._siv.decrypt, _ASSOCIATED, PREFIX_SIZE
        try:
            return [decrypt(token[start:], associated) for token in tokens]
        except (InvalidTag, ValueError):
            raise TokenDamaged from None

    def hashes(self, plaintexts: Sequence[bytes]) -> list[str]:
        """32 hex digits for each plaintext; nobody can go back, nor forward without the key."""
        digest, key = hmac.digest, self._hash_key
        return [digest(key, plaintext, "sha256").hex()[:32] for plaintext in plaintexts]
