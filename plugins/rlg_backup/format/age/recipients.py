"""What a recipient and an identity of any type are, and the texts that stand for them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from rlg_backup.core.errors import HeaderDamaged, KeyMalformed, RecipientMissing, RecipientsMixed
from rlg_backup.format.age import bech32
from rlg_backup.format.age.header import Stanza, decode_base64

FILE_KEY_LENGTH = 16
WRAPPED_LENGTH = FILE_KEY_LENGTH + 16  # the file key and a Poly1305 tag, whatever the type


class Recipient(ABC):
    """A public key that archives are encrypted to. Equal when the text is."""

    kind: ClassVar[str]  # the stanza's type
    text: str  # age1..., in lower case

    @property
    def id(self) -> str:
        """How manifests name it: 16 hex digits of the SHA-256 of its text (FORMAT.md 1)."""
        return hashlib.sha256(self.text.encode("ascii")).hexdigest()[:16]

    @abstractmethod
    def wrap(self, file_key: bytes) -> Stanza:
        """A stanza, new each time, from which the identity gets ``file_key`` (16 bytes) back."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipient) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"


class Identity(ABC):
    """The secret half of a recipient. Its repr shows the recipient's id only."""

    @property
    @abstractmethod
    def text(self) -> str:
        """AGE-SECRET-KEY-..., in upper case: a secret."""

    @property
    @abstractmethod
    def recipient(self) -> Recipient:
        """The public half."""

    @abstractmethod
    def unwrap(self, stanza: Stanza, name: str) -> bytes | None:
        """The file key, or None when the stanza is of another type or for another identity.

        Raises HeaderDamaged (``name`` is the archive's) for a stanza of this type that breaks the
        specification: unlike a stanza for somebody else, such a one must not be passed over.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.recipient.id})"

    def __reduce__(self) -> str:
        raise TypeError("an identity is not to be pickled")


def stanza_share(stanza: Stanza, length: int, name: str) -> bytes:
    """The only argument of a native stanza after its type, ``length`` bytes; checks the body's length too."""
    kind = stanza.arguments[0]
    if len(stanza.arguments) != 2:
        raise HeaderDamaged("decrypt", name, f"a {kind} stanza has {len(stanza.arguments)} arguments, not 2")
    try:
        share = decode_base64(stanza.arguments[1].encode("ascii"))
    except ValueError:
        raise HeaderDamaged("decrypt", name, f"the share of a {kind} stanza is not canonical base64") from None
    if len(share) != length:
        raise HeaderDamaged("decrypt", name, f"the share of a {kind} stanza is of {len(share)} bytes, not {length}")
    # Checked before any decryption: a longer body could be made to open under several keys.
    if len(stanza.body) != WRAPPED_LENGTH:
        cause = f"the body of a {kind} stanza is of {len(stanza.body)} bytes, not {WRAPPED_LENGTH}"
        raise HeaderDamaged("decrypt", name, cause)
    return share


def decode_key(text: str, prefix: str, length: int, what: str) -> bytes:
    """The bytes of a Bech32 key text; KeyMalformed, which never shows the text, unless it is one."""
    try:
        found, data = bech32.decode(text)
    except ValueError as fault:
        raise KeyMalformed("read", what, str(fault)) from None
    if found != prefix or not text.startswith(_shown(prefix)):
        raise KeyMalformed("read", what, f"it does not begin with '{_shown(prefix)}'")
    if len(data) != length:
        raise KeyMalformed("read", what, f"it holds {len(data)} bytes, not {length}")
    return data


def _shown(prefix: str) -> str:
    """Secret keys are written in upper case, public ones in lower case: one spelling for each key."""
    return f"{prefix.upper() if prefix.endswith('-') else prefix}1"


def check_recipients(recipients: Sequence[Recipient]) -> tuple[Recipient, ...]:
    """The recipients without repetitions, in order; RecipientMissing for none, RecipientsMixed for two types."""
    if not recipients:
        hint = "set 'recipients' to one or more age1... texts; 'age-keygen' makes a pair"
        raise RecipientMissing("encrypt", "archive", "no recipient is configured", hint)
    kinds = sorted({recipient.kind for recipient in recipients})
    if len(kinds) > 1:
        hint = "use recipients that all begin with age1pq1, or none that does"
        raise RecipientsMixed("encrypt", "archive", f"its recipients are of types {' and '.join(kinds)}", hint)
    return tuple(dict.fromkeys(recipients))
