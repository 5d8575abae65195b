"""An entry of the erasure ledger: somebody asked to be forgotten (FORMAT.md section 1).

It names no person: the subject is a keyed hash, and the key is apart from backups. Who has a candidate's key and the
erasure key can tell whether it was asked for; nobody can tell from the entry who it was.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from ..core.errors import InvalidSetting, LedgerForged
from .chained import Sequence8
from .document import Instant, KeyId, Name, Record, Sha256
from .keys import ErasureKey
from .signing import Signer, SigningKey, sign, unverified, verify

FOLDER = "erasures/"
LONGEST_KEY = 1024  # characters of a subject's key
_REASON = r"^[a-z0-9][a-z0-9._-]{0,39}$"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}", re.ASCII)
_HASHED = re.compile(r"hashed:([0-9a-f]{16}):([0-9a-f]{64})")

Reason = Annotated[str, Field(strict=True, pattern=_REASON)]


@dataclass(frozen=True)
class Subject:
    """Who is to be forgotten: the hash under the erasure key of that id."""

    key: str
    sha256: str

    @property
    def text(self) -> str:
        """What stands for a subject where its key must not be written."""
        return f"hashed:{self.key}:{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The subject of such a text; None for any other."""
        match = _HASHED.fullmatch(text)
        return cls(match[1], match[2]) if match else None


def subject_of(key: ErasureKey, kind: str, text: str) -> Subject:
    """The subject of a kind with the key ``text``, as a database holds it (a number: its decimal digits).

    Raises InvalidSetting for one that no row can have; the error does not show it.
    """
    return subjects_of(key, kind, text)[0]


def subjects_of(key: ErasureKey, kind: str, text: str) -> list[Subject]:
    """The subject as it is recorded, then as it may have been before. Raises as ``subject_of``."""
    spellings = spellings_of(text)
    if not 0 < len(spellings[0]) <= LONGEST_KEY:
        raise InvalidSetting("erase", "subject", f"its key is not 1 to {LONGEST_KEY} characters")
    return [Subject(key.key_id, hashed(key, kind, plain)) for plain in spellings]


def spellings_of(text: str) -> list[str]:
    """The one spelling of a subject's key: composed characters (NFC), no white space around it, a UUID in small letters
    with its hyphens; else case is kept. Behind it, where it differs, how entries spelt it that are older than that."""
    plain = unicodedata.normalize("NFC", text).strip()
    match = _UUID.fullmatch(plain)
    if match is None:
        return [plain]
    digits = plain.lower().replace("-", "")
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return [uuid, *([plain] if plain != uuid else []), *([digits] if digits != plain else [])]


def hashed(key: ErasureKey, kind: str, plain: str) -> str:
    """The hash of a normalised key: 64 hex digits."""
    return hmac.digest(key.secret, f"{kind}\0{plain}".encode("utf-8", "surrogatepass"), "sha256").hex()


class ErasureEntry(Record):
    """One request. The same bytes lie on every target, as ``erasures/<sequence>.json``; ``previous_sha256`` is of
    those of the entry before. ``reason`` is a short code, in clear."""

    TYPE: ClassVar[str] = "erasure"

    sequence: Sequence8
    previous_sha256: Sha256 | None
    requested_at: Instant
    kind: Name
    key: KeyId
    subject: Sha256
    reason: Reason

    @model_validator(mode="after")
    def _is_linked(self) -> Self:
        if (self.sequence == 1) != (self.previous_sha256 is None):
            raise ValueError("only the first entry has none before it")
        return self

    @property
    def path(self) -> str:
        """The key of the object."""
        return path_of(self.sequence)

    def sign(self, key: SigningKey) -> Written:
        """The entry with its bytes; the same entry and key give the same bytes."""
        return Written(self, sign(self.TYPE, self.to_dict(), key))


@dataclass(frozen=True)
class Written:
    """An entry and the bytes it has on every target."""

    entry: ErasureEntry
    data: bytes

    @property
    def sha256(self) -> str:
        return sha256(self.data).hexdigest()

    @classmethod
    def load(cls, data: bytes, trusted: Sequence[Signer], *, path: str) -> Self:
        """The entry found at ``path``. Raises DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown, and
        LedgerForged when it is another number's."""
        verify(ErasureEntry.TYPE, data, trusted, path)
        return cls.parse(data, path=path)

    @classmethod
    def parse(cls, data: bytes, *, path: str) -> Self:
        """The entry found at ``path``, whoever signed it: for what an entry behind it vouches for. Raises as ``load``,
        but for signers that are not known and signatures that do not verify."""
        entry = ErasureEntry.from_dict(unverified(ErasureEntry.TYPE, data, path), path)
        if entry.path != path:
            raise LedgerForged("verify", path, f"it is the entry '{entry.path}'")
        return cls(entry, data)


def path_of(sequence: int) -> str:
    """The key of the entry's object on a target."""
    return f"{FOLDER}{sequence:08d}.json"
