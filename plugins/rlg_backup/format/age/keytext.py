"""From the text of a key to the recipient or identity of its type."""

from __future__ import annotations

from rlg_backup.core.errors import KeyMalformed
from rlg_backup.format.age.hybrid import HybridIdentity, HybridRecipient
from rlg_backup.format.age.recipients import Identity, Recipient
from rlg_backup.format.age.x25519 import X25519Identity, X25519Recipient

_IDENTITY = "AGE-SECRET-KEY-"


def parse_recipient(text: str) -> Recipient:
    """The recipient of ``age1...`` or ``age1pq1...``; KeyMalformed, without the text, for any other."""
    text = text.strip()
    if text.upper().startswith(_IDENTITY):
        hint = "encrypting needs only the public half; keep the identity where restores run"
        raise KeyMalformed("read", "age recipient", "it is an identity, the secret half", hint)
    if text.startswith("age1pq1"):
        return HybridRecipient.parse(text)
    if text.startswith("age1") and "1" in text[4:]:
        hint = "use a recipient that begins with age1pq1, or with age1 and no other 1 in it"
        raise KeyMalformed("read", "age recipient", "it is of a type that is not supported", hint)
    if not text.startswith("age1"):
        raise KeyMalformed("read", "age recipient", "it does not begin with 'age1'")
    return X25519Recipient.parse(text)


def parse_identity(text: str) -> Identity:
    """The identity of ``AGE-SECRET-KEY-1...`` or ``AGE-SECRET-KEY-PQ-1...``; KeyMalformed, without the text."""
    text = text.strip()
    if text.startswith("age1"):
        hint = "an identity begins with AGE-SECRET-KEY-"
        raise KeyMalformed("read", "age identity", "it is a recipient, the public half", hint)
    if text.startswith("AGE-SECRET-KEY-PQ-1"):
        return HybridIdentity.parse(text)
    if not text.startswith(_IDENTITY):
        raise KeyMalformed("read", "age identity", f"it does not begin with '{_IDENTITY}'")
    return X25519Identity.parse(text)


def generate_identity(*, post_quantum: bool) -> Identity:
    """A new identity from the operating system's random source."""
    return HybridIdentity.generate() if post_quantum else X25519Identity.generate()
