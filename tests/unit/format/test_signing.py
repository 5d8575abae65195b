"""Signed documents: what was signed as one thing is that thing, unchanged, or an error."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.unit.format.signers import OURS, THEIRS, Private

from rlg_backup.core.errors import BackupError, DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown
from rlg_backup.format.canonical import serialize
from rlg_backup.format.keys import SigningKey
from rlg_backup.format.signing import sign, verify

BODY = {"source": "rlg_data", "n": 1}
TRUSTED = [OURS.public]


def document(signed: object, *keys: Private, type: str = "manifest") -> bytes:
    """Signs whatever is given, right or wrong."""
    message = f"rlg-backup/1/{type}".encode() + b"\0" + serialize(signed, "x")  # type: ignore[arg-type]
    signatures = [{"key": key.key_id, "signature": base64.b64encode(key.sign(message)).decode()} for key in keys]
    return serialize({"signed": signed, "signatures": signatures}, "x")


def test_a_signed_body_comes_back() -> None:
    data = sign("manifest", BODY, OURS)
    assert verify("manifest", data, TRUSTED) == BODY
    assert data == sign("manifest", BODY, OURS) == document({"type": "manifest", "version": 1, **BODY}, OURS)


def test_the_message_is_the_one_the_format_names() -> None:
    """Verified here with nothing of ours, so that another implementation could do it too."""
    data = sign("commit", {"a": "é"}, OURS)
    signed = '{"a":"é","type":"commit","version":1}'.encode()
    signature = base64.b64encode(OURS.sign(b"rlg-backup/1/commit\x00" + signed)).decode()
    expected = (
        f'{{"signatures":[{{"key":"{OURS.key_id}","signature":"{signature}"}}],"signed":'.encode() + signed + b"}"
    )
    assert data == expected


def test_the_keys_of_this_package_sign_and_verify() -> None:
    key = SigningKey.generate()
    assert verify("manifest", sign("manifest", BODY, key), [key.signer]) == BODY
    with pytest.raises(SignatureInvalid):
        verify("manifest", sign("manifest", BODY, key).replace(b'"n":1', b'"n":2'), [key.signer])


def test_a_changed_byte_anywhere_is_an_error() -> None:
    data = sign("manifest", BODY, OURS)
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises((DocumentDamaged, SignatureInvalid, SignerUnknown, FormatUnsupported)):
                verify("manifest", bytes(damaged), TRUSTED)
    for length in range(len(data)):
        with pytest.raises(DocumentDamaged):
            verify("manifest", data[:length], TRUSTED)


def failure(data: bytes, type: str = "manifest", subject: str | None = None) -> tuple[type[BackupError], str]:
    with pytest.raises(BackupError) as caught:
        verify(type, data, TRUSTED, subject)
    return caught.type, str(caught.value)


def test_a_signature_on_one_type_is_none_on_another() -> None:
    data = sign("manifest", BODY, OURS)
    expected = (SignatureInvalid, "unable to verify 'a.json': it was not signed as a commit")
    assert failure(data, "commit", "a.json") == expected
    relabelled = document({"type": "commit", "version": 1, **BODY}, OURS, type="manifest")
    expected = (SignatureInvalid, f"unable to verify 'commit': its signature by {OURS.key_id} does not verify")
    assert failure(relabelled, "commit") == expected


def test_an_unknown_signer_is_told_with_the_way_out() -> None:
    cause = f"unable to verify 'manifest': it is signed by {THEIRS.key_id}, which is not trusted"
    hint = "\nhint: add the signer's public key to the trusted signers if it is yours"
    assert failure(sign("manifest", BODY, THEIRS)) == (SignerUnknown, cause + hint)
    with pytest.raises(SignerUnknown):
        verify("manifest", sign("manifest", BODY, OURS), [])


def test_another_key_under_a_trusted_id_does_not_verify() -> None:
    data = sign("manifest", BODY, THEIRS).replace(THEIRS.key_id.encode(), OURS.key_id.encode())
    expected = (SignatureInvalid, f"unable to verify 'manifest': its signature by {OURS.key_id} does not verify")
    assert failure(data) == expected


def test_one_trusted_signature_is_enough_and_a_wrong_trusted_one_is_too_many() -> None:
    signed = {"type": "manifest", "version": 1, **BODY}
    both = document(signed, THEIRS, OURS)
    assert verify("manifest", both, TRUSTED) == BODY
    wrong = both.replace(b64(THEIRS, signed), b64(THEIRS, {"type": "manifest", "version": 1}))
    assert verify("manifest", wrong, TRUSTED) == BODY
    with pytest.raises(SignatureInvalid):
        verify("manifest", wrong, [OURS.public, THEIRS.public])


def b64(key: Private, signed: object) -> bytes:
    message = b"rlg-backup/1/manifest\0" + serialize(signed, "x")  # type: ignore[arg-type]
    return base64.b64encode(key.sign(message))


def test_a_later_version_is_not_supported_and_said_so() -> None:
    data = document({"type": "manifest", "version": 2, **BODY}, OURS)
    cause = "unable to read 'manifest': it has version 2, this release reads 1"
    assert failure(data) == (FormatUnsupported, cause + "\nhint: use the release that wrote it, or a later one")


NO_KIND = "it does not say its type and version"


@pytest.mark.parametrize("kind", [{}, {"type": "manifest"}, {"version": 1}, {"type": 1, "version": 1}])
def test_type_and_version_must_be_there(kind: dict[str, object]) -> None:
    assert failure(document({**kind, **BODY}, OURS)) == (DocumentDamaged, f"unable to read 'manifest': {NO_KIND}")


@pytest.mark.parametrize("version", [0, -1, "1", True, None, 1.5])
def test_a_version_is_a_whole_number_from_1(version: object) -> None:
    data = document({"type": "manifest", "version": version}, OURS)
    assert failure(data) == (DocumentDamaged, f"unable to read 'manifest': {NO_KIND}")


GOOD = base64.b64encode(OURS.sign(b"x")).decode()
ID = OURS.key_id


@pytest.mark.parametrize(
    ("whole", "cause"),
    [
        ({}, "it is not made of 'signed' and 'signatures'"),
        ({"signed": {}}, "it is not made of 'signed' and 'signatures'"),
        ({"signed": {}, "signatures": [], "more": 1}, "it is not made of 'signed' and 'signatures'"),
        ({"signed": [], "signatures": []}, "it is not made of 'signed' and 'signatures'"),
        ({"signatures": []}, "it does not have 1 to 16 signatures"),
        ({"signatures": None}, "it does not have 1 to 16 signatures"),
        ({"signatures": [{}] * 17}, "it does not have 1 to 16 signatures"),
        ({"signatures": [1]}, "a signature is not made of 'key' and 'signature'"),
        ({"signatures": [{"key": ID}]}, "a signature is not made of 'key' and 'signature'"),
        ({"signatures": [{"key": ID, "signature": GOOD, "x": 1}]}, "a signature is not made of 'key' and 'signature'"),
        ({"signatures": [{"key": [], "signature": GOOD}]}, "a signature's key id is not 16 hex digits"),
        ({"signatures": [{"key": ID.upper() + "A", "signature": GOOD}]}, "a signature's key id is not 16 hex digits"),
        ({"signatures": [{"key": ID, "signature": GOOD}] * 2}, f"it has two signatures by {ID}"),
        ({"signatures": [{"key": ID, "signature": 1}]}, "a signature is not 64 bytes of base64"),
        ({"signatures": [{"key": ID, "signature": ""}]}, "a signature is not 64 bytes of base64"),
        ({"signatures": [{"key": ID, "signature": "é" * 88}]}, "a signature is not 64 bytes of base64"),
        ({"signatures": [{"key": ID, "signature": GOOD[:-4]}]}, "a signature is not 64 bytes of base64"),
        ({"signatures": [{"key": ID, "signature": GOOD + "\n"}]}, "a signature is not 64 bytes of base64"),
    ],
)
def test_a_document_has_its_two_parts_and_whole_signatures(whole: dict[str, object], cause: str) -> None:
    if "signed" not in whole and whole:
        whole = {"signed": {"type": "manifest", "version": 1}, **whole}
    assert failure(serialize(whole, "x")) == (DocumentDamaged, f"unable to read 'manifest': {cause}")


def test_spare_bits_of_base64_give_no_second_spelling() -> None:
    """64 bytes leave 4 spare bits in the last letter; a decoder that drops them would accept 16 spellings."""
    data = sign("manifest", BODY, OURS)
    signature = b64(OURS, {"type": "manifest", "version": 1, **BODY})
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = signature[:85] + bytes([alphabet[alphabet.index(signature[85]) ^ 1]]) + signature[86:]
    assert base64.b64decode(other) == base64.b64decode(signature)
    expected = (DocumentDamaged, "unable to read 'manifest': a signature is not 64 bytes of base64")
    assert failure(data.replace(signature, other)) == expected


@pytest.mark.parametrize("name", ["type", "version"])
def test_a_body_cannot_name_its_own_type_or_version(name: str) -> None:
    with pytest.raises(DocumentDamaged) as caught:
        sign("manifest", {name: 1}, OURS)
    cause = "its body names the type or the version, which signing sets"
    assert str(caught.value) == f"unable to write 'manifest': {cause}"


def test_key_ids_are_those_the_format_names() -> None:
    assert isinstance(OURS.public.key, Ed25519PublicKey)
    key = SigningKey.generate()
    assert key.key_id == key.signer.key_id
