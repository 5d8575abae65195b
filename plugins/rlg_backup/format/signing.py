"""Signed documents: Ed25519 over the type and the canonical form (FORMAT.md section 1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature

from ..core.errors import DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown
from .canonical import parse, serialize

VERSION = 1
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_SIGNATURE_SIZE = 64
_MOST_SIGNATURES = 16  # a document needs one; a rotation two


class SigningKey(Protocol):
    """What signs: ``format.keys.SigningKey`` is one."""

    @property
    def key_id(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


class Signer(Protocol):
    """The public half; ``verify`` raises cryptography's InvalidSignature."""

    @property
    def key_id(self) -> str: ...

    def verify(self, message: bytes, signature: bytes) -> None: ...


@dataclass(frozen=True)
class SignerOf:
    """A signer that is believed for documents of some types only."""

    signer: Signer
    types: frozenset[str]

    @property
    def key_id(self) -> str:
        return self.signer.key_id

    def verify(self, message: bytes, signature: bytes) -> None:
        self.signer.verify(message, signature)


def sign(type: str, body: Mapping[str, object], key: SigningKey) -> bytes:
    """The signed document's bytes; ``body`` is ``signed`` without ``type`` and ``version``.

    The same input gives the same bytes (Ed25519 takes no randomness). Raises DocumentDamaged when
    ``body`` has no canonical form or names ``type`` or ``version`` itself.
    """
    if {"type", "version"} & body.keys():
        raise DocumentDamaged("write", type, "its body names the type or the version, which signing sets")
    signed = {"type": type, "version": VERSION, **body}
    signature = base64.b64encode(key.sign(_message(type, signed))).decode("ascii")
    return serialize({"signed": signed, "signatures": [{"key": key.key_id, "signature": signature}]}, type)


def verify(type: str, data: bytes, trusted: Sequence[Signer], subject: str | None = None) -> dict[str, object]:
    """The body of a document that one of ``trusted`` has signed as a ``type``.

    ``subject`` names the document in errors (by default its type). Every signature by a trusted signer
    must hold; those by others are not looked at. Raises DocumentDamaged (not canonical, a field missing or
    unknown), FormatUnsupported (a later version), SignatureInvalid (another type, or a signature that
    does not verify), SignerUnknown (nobody trusted has signed).
    """
    subject = subject or type
    signed, signatures = _opened(type, data, subject)
    message = _message(type, signed)
    known = {signer.key_id: signer for signer in trusted if _may_sign(signer, type)}
    accepted = False
    for key_id, signature in signatures:
        if key_id in known:
            try:
                known[key_id].verify(message, signature)
            except InvalidSignature:
                cause = f"its signature by {key_id} does not verify"
                raise SignatureInvalid("verify", subject, cause) from None
            accepted = True
    if not accepted:
        names = ", ".join(key_id for key_id, _ in signatures)
        hint = "add the signer's public key to the trusted signers if it is yours"
        raise SignerUnknown("verify", subject, f"it is signed by {names}, which is not trusted", hint)
    return _body(signed)


def unverified(type: str, data: bytes, subject: str) -> dict[str, object]:
    """The body of a document, whoever signed it: for bytes that something else vouches for. Raises as ``verify``, but
    for what is wrong with signatures."""
    return _body(_opened(type, data, subject)[0])


def _opened(type: str, data: bytes, subject: str) -> tuple[dict[str, object], list[tuple[str, bytes]]]:
    """What was signed, and by whom it is said to be."""
    document = parse(data, subject)
    signed, signatures = document.get("signed"), document.get("signatures")
    if document.keys() != {"signed", "signatures"} or not isinstance(signed, dict):
        raise DocumentDamaged("read", subject, "it is not made of 'signed' and 'signatures'")
    _check_kind(type, signed, subject)
    return signed, _signatures(signatures, subject)


def _body(signed: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in signed.items() if name not in ("type", "version")}


def _may_sign(signer: Signer, type: str) -> bool:
    return not isinstance(signer, SignerOf) or type in signer.types


def _message(type: str, signed: dict[str, object]) -> bytes:
    return f"rlg-backup/{VERSION}/{type}".encode() + b"\x00" + serialize(signed, type)


def _check_kind(type: str, signed: dict[str, object], subject: str) -> None:
    found, version = signed.get("type"), signed.get("version")
    if not isinstance(found, str) or isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DocumentDamaged("read", subject, "it does not say its type and version")
    if version > VERSION:
        hint = "use the release that wrote it, or a later one"
        raise FormatUnsupported("read", subject, f"it has version {version}, this release reads {VERSION}", hint)
    if found != type:
        raise SignatureInvalid("verify", subject, f"it was not signed as a {type}")


def _signatures(value: object, subject: str) -> list[tuple[str, bytes]]:
    """(key id, 64 bytes) in order, each signer once; raises DocumentDamaged."""
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_SIGNATURES:
        raise DocumentDamaged("read", subject, f"it does not have 1 to {_MOST_SIGNATURES} signatures")
    found: dict[str, bytes] = {}
    for item in value:
        if not isinstance(item, dict) or item.keys() != {"key", "signature"}:
            raise DocumentDamaged("read", subject, "a signature is not made of 'key' and 'signature'")
        key_id = _key_id(item["key"], subject)
        if key_id in found:
            raise DocumentDamaged("read", subject, f"it has two signatures by {key_id}")
        found[key_id] = _decode(item["signature"], subject)
    return list(found.items())


def _key_id(value: object, subject: str) -> str:
    if not isinstance(value, str) or not _KEY_ID.fullmatch(value):
        raise DocumentDamaged("read", subject, "a signature's key id is not 16 hex digits")
    return value


def _decode(value: object, subject: str) -> bytes:
    try:
        decoded = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        decoded = b""
    # Base64 leaves spare bits; comparing the text back refuses a second spelling of one signature.
    if len(decoded) != _SIGNATURE_SIZE or base64.b64encode(decoded).decode("ascii") != value:
        raise DocumentDamaged("read", subject, "a signature is not 64 bytes of base64")
    return decoded
