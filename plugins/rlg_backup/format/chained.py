"""What the signed records of a catalog have in common: a place in its chain, and the heads they witness."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from ..core.errors import CatalogForged
from .document import Name, Record, Sha256, Text
from .signing import Signer, SigningKey, sign, verify

LAST_SEQUENCE = 99_999_999  # 8 decimal digits

Sequence8 = Annotated[int, Field(strict=True, ge=1, le=LAST_SEQUENCE)]


class Witness(Record):
    """The head of the source's catalog on another target. ``sha256`` is of that record's bytes."""

    sequence: Sequence8
    sha256: Sha256


class Chained(Record):
    """One record of a source's catalog on one target; linked to the one before by ``previous_sha256``, of its bytes.

    ``TYPE`` is what it is signed as.
    """

    TYPE: ClassVar[str]

    source: Name
    sequence: Sequence8
    previous_sha256: Sha256 | None
    target: Text
    witnesses: Mapping[Text, Witness]

    @model_validator(mode="after")
    def _is_linked(self) -> Self:
        if (self.sequence == 1) != (self.previous_sha256 is None):
            raise ValueError("only the first record has none before it")
        if self.target in self.witnesses:
            raise ValueError("its own target is among its witnesses")
        return self

    @property
    @abstractmethod
    def path(self) -> str:
        """The key of the object, below ``catalog/<source>/``."""

    def sign(self, key: SigningKey) -> bytes:
        """The bytes of the record; the same record and key give the same bytes."""
        return sign(self.TYPE, self.to_dict(), key)

    @classmethod
    def load(cls, data: bytes, trusted: Sequence[Signer], *, path: str, target: str) -> Self:
        """The record found at ``path`` on the target of that name, checked.

        Raises DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown, and CatalogForged when what its
        path is made of, or its target, are not those of the place it was found at.
        """
        record = cls.from_dict(verify(cls.TYPE, data, trusted, path), path)
        if record.path != path:
            raise CatalogForged("verify", path, f"it is the record '{record.path}'")
        if record.target != target:
            raise CatalogForged("verify", path, f"it was made for target '{record.target}', not for '{target}'")
        return record
