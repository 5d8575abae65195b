"""The header: one spelling for each, every malformed one refused by name (names as in the age test vectors)."""

from __future__ import annotations

import base64
import hmac
import io

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import BackupError, FormatUnsupported, HeaderDamaged, WrongIdentity
from rlg_backup.format.age import AgeReader, Identity, SeekableAgeReader, generate_identity
from rlg_backup.format.age.header import MAX_HEADER, Header, Stanza, decode_base64, encode_base64, parse_header

FILE_KEY = b"YELLOW SUBMARINE"
IDENTITY = generate_identity(post_quantum=False)
HYBRID = generate_identity(post_quantum=True)
WRAPPED = IDENTITY.recipient.wrap(FILE_KEY).serialise()
HYBRID_WRAPPED = HYBRID.recipient.wrap(FILE_KEY).serialise()
SHARE, BODY = WRAPPED.split()[2], WRAPPED.split()[3]
V1 = b"age-encryption.org/v1\n"
MALFORMED = "its header is malformed: "


def sealed(stanzas: bytes, mac: bytes | None = None) -> bytes:
    """A file with these bytes between the version line and the MAC, whatever they are, and an empty payload."""
    head = V1 + stanzas + b"---"
    key = HKDF(SHA256(), 32, salt=None, info=b"header").derive(FILE_KEY)
    line = b" " + base64.b64encode(hmac.digest(key, head, "sha256")).rstrip(b"=") if mac is None else mac
    nonce = bytes(16)
    payload = HKDF(SHA256(), 32, salt=nonce, info=b"payload").derive(FILE_KEY)
    return head + line + b"\n" + nonce + ChaCha20Poly1305(payload).encrypt(bytes(11) + b"\1", b"", None)


def faults(data: bytes, *identities: Identity) -> tuple[type[BackupError], str]:
    """What both readers raise, which must be the same."""
    given = identities or (IDENTITY, HYBRID)
    with pytest.raises(BackupError) as streamed:
        AgeReader(io.BytesIO(data), given).read()
    with pytest.raises(BackupError) as seeked:
        SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), given)
    assert (type(seeked.value), str(seeked.value)) == (type(streamed.value), str(streamed.value))
    return type(streamed.value), str(streamed.value)


def damaged(cause: str) -> tuple[type[BackupError], str]:
    return HeaderDamaged, f"unable to decrypt 'archive': {cause}"


X25519_ARGUMENT = WRAPPED.replace(b"X25519 ", b"X25519 1 ", 1)
CASES = {
    "hmac_bad": (sealed(WRAPPED, b" " + b"A" * 43), "its header fails its authentication"),
    "hmac_extra_space": (sealed(WRAPPED, b"  " + b"A" * 43), MALFORMED + "its MAC is not canonical base64"),
    "hmac_garbage": (sealed(WRAPPED, b" " + b"A" * 46), MALFORMED + "its MAC is of 34 bytes, not 32"),
    "hmac_missing": (sealed(WRAPPED, b""), MALFORMED + "a stanza or the MAC is missing or out of place"),
    "hmac_no_space": (sealed(WRAPPED, b"A" * 43), MALFORMED + "a stanza or the MAC is missing or out of place"),
    "hmac_not_canonical": (sealed(WRAPPED, b" " + b"A" * 42 + b"B"), MALFORMED + "its MAC is not canonical base64"),
    "hmac_truncated": (sealed(WRAPPED, b" AAAA"), MALFORMED + "its MAC is of 3 bytes, not 32"),
    "stanza_missing": (sealed(b""), MALFORMED + "it has no stanza"),
    "stanza_bad_start": (sealed(b"- > X\n\n"), MALFORMED + "it has no stanza"),
    "stanza_base64_padding": (
        sealed(WRAPPED[:-1] + b"=\n"),
        MALFORMED + "the body of a stanza is not canonical base64",
    ),
    "stanza_not_canonical": (
        sealed(b"-> x\nAB\n" + WRAPPED),
        MALFORMED + "the body of a stanza is not canonical base64",
    ),
    "stanza_spurious_cr": (
        sealed(WRAPPED[:-1] + b"\r\n"),
        MALFORMED + "the body of a stanza is not canonical base64",
    ),
    "stanza_empty_argument": (
        sealed(WRAPPED + b"-> a  b\n\n"),
        MALFORMED + "a stanza has no argument, or an empty one",
    ),
    "stanza_no_arguments": (sealed(WRAPPED + b"->\n\n"), MALFORMED + "a stanza has no argument, or an empty one"),
    "stanza_invalid_character": (
        sealed(WRAPPED + b"-> caf\xc3\xa9\n\n"),
        MALFORMED + "an argument of a stanza has a character that is not allowed",
    ),
    "stanza_long_line": (
        sealed(b"-> x\n" + b"A" * 68 + b"\n" + WRAPPED),
        MALFORMED + "a stanza does not end with a short line",
    ),
    "stanza_missing_final_line": (
        sealed(b"-> x\n" + b"A" * 64 + b"\n"),
        MALFORMED + "the body of a stanza is not canonical base64",
    ),
    "stanza_multiple_short_lines": (
        sealed(b"-> x\nAAAA\nAAAA\n" + WRAPPED),
        MALFORMED + "a stanza or the MAC is missing or out of place",
    ),
    "header_crlf": (sealed(WRAPPED).replace(b"\n", b"\r\n", 1), "it does not begin as an age file does"),
    "empty": (b"", "it is empty"),
    "zeros": (bytes(300), "it does not begin as an age file does"),
    "version_cut": (V1[:-2], "it ends within its header"),
    "version_empty": (b"age-encryption.org/\n", "it does not begin as an age file does"),
    "header_cut": (sealed(WRAPPED)[:90], "it ends within its header"),
    "scrypt_and_x25519": (
        sealed(b"-> scrypt AAAAAAAAAAAAAAAAAAAAAA 10\n" + BODY + b"\n" + WRAPPED),
        "its header has a passphrase beside another recipient",
    ),
    "x25519_extra_argument": (sealed(X25519_ARGUMENT), "a X25519 stanza has 3 arguments, not 2"),
    "x25519_not_canonical_share": (
        sealed(b"-> X25519 " + SHARE[:-1] + b"_\n" + BODY + b"\n"),
        "the share of a X25519 stanza is not canonical base64",
    ),
    "x25519_short_share": (
        sealed(b"-> X25519 " + encode_base64(bytes(31)) + b"\n" + BODY + b"\n"),
        "the share of a X25519 stanza is of 31 bytes, not 32",
    ),
    "x25519_low_order": (
        sealed(b"-> X25519 " + encode_base64(bytes(32)) + b"\n" + BODY + b"\n"),
        "the share of a X25519 stanza is a point of low order",
    ),
    "x25519_long_file_key": (
        sealed(b"-> X25519 " + SHARE + b"\n" + encode_base64(bytes(41)) + b"\n"),
        "the body of a X25519 stanza is of 41 bytes, not 32",
    ),
    "hybrid_low_order": (
        sealed(b"-> mlkem768x25519 " + encode_base64(bytes(1120)) + b"\n" + BODY + b"\n"),
        "the share of a mlkem768x25519 stanza has a point of low order",
    ),
    "hybrid_short_share": (
        sealed(b"-> mlkem768x25519 " + encode_base64(bytes(1119)) + b"\n" + BODY + b"\n"),
        "the share of a mlkem768x25519 stanza is of 1119 bytes, not 1120",
    ),
    "hybrid_long_file_key": (
        sealed(b"-> mlkem768x25519 " + encode_base64(bytes(1120)) + b"\n" + encode_base64(bytes(41)) + b"\n"),
        "the body of a mlkem768x25519 stanza is of 41 bytes, not 32",
    ),
    "header_without_end": (
        V1 + b"-> x\n\n" * (MAX_HEADER // 6),
        f"its header does not end within {MAX_HEADER} bytes",
    ),
    "header_too_long": (
        sealed(b"-> x\n\n" * (MAX_HEADER // 6) + WRAPPED),
        f"its header does not end within {MAX_HEADER} bytes",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_header_is_refused_and_the_fault_named(name: str) -> None:
    data, cause = CASES[name]
    assert faults(data) == damaged(cause)


def test_the_file_that_the_cases_are_made_from_opens() -> None:
    for stanzas in (WRAPPED, HYBRID_WRAPPED, WRAPPED + HYBRID_WRAPPED):
        assert AgeReader(io.BytesIO(sealed(stanzas)), [IDENTITY, HYBRID]).read() == b""


UNKNOWN = {
    "stanza_empty_body": b"-> x\n\n",
    "stanza_valid_characters": b"-> grease-1 ~!#%'*+_\n\n",
    "stanza_empty_last_line": b"-> x a b c\n" + b"A" * 64 + b"\n\n",
    "x25519_lowercase": b"-> x25519 " + SHARE + b"\n" + BODY + b"\n",
    "hybrid_uppercase": b"-> MLKEM768X25519 a\n\n",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_stanza_of_an_unknown_type_is_passed_over(name: str) -> None:
    stanza = UNKNOWN[name]
    for data in (sealed(stanza + WRAPPED), sealed(WRAPPED + stanza)):
        assert AgeReader(io.BytesIO(data), [IDENTITY]).read() == b""
    assert faults(sealed(stanza))[0] is WrongIdentity


def test_a_later_version_of_age_is_called_unsupported() -> None:
    cause = "unable to decrypt 'archive': it is of age version 'v2', and this engine reads 'v1'"
    assert faults(sealed(WRAPPED).replace(b"v1", b"v2", 1)) == (FormatUnsupported, cause)


def test_armour_is_named_with_the_way_out() -> None:
    data = b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"
    assert faults(data) == damaged(
        "it is in ASCII armour, not a binary age file\n"
        "hint: take the armour off first, for example with: age -d, then encrypt again without -a"
    )


def test_other_identities_are_told_so_and_none_too() -> None:
    hint = "hint: the manifest's 'recipients' are the ids of the keys that do; give the identity of one of them"
    subject = "unable to decrypt 'archive':"
    others = generate_identity(post_quantum=False), generate_identity(post_quantum=True)
    for wrapped in (WRAPPED, HYBRID_WRAPPED):
        assert faults(sealed(wrapped), *others) == (
            WrongIdentity,
            f"{subject} none of the identities given opens it\n{hint}",
        )
    with pytest.raises(WrongIdentity) as caught:
        AgeReader(io.BytesIO(sealed(WRAPPED)), [])
    assert str(caught.value) == f"{subject} no identity was given\n{hint}"


def test_a_stanza_copied_from_another_file_does_not_pass_the_mac() -> None:
    other = IDENTITY.recipient.wrap(b"another file key").serialise()
    assert faults(sealed(other)) == damaged("its header fails its authentication")


def test_the_name_of_the_archive_is_in_the_error() -> None:
    with pytest.raises(HeaderDamaged) as caught:
        AgeReader(io.BytesIO(b"x" * 30), [IDENTITY], name="default.zip.age")
    assert str(caught.value) == "unable to decrypt 'default.zip.age': it does not begin as an age file does"


arguments = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=70)
stanzas = st.builds(Stanza, st.lists(arguments, min_size=1, max_size=4).map(tuple), st.binary(max_size=200))


@given(st.lists(stanzas, min_size=1, max_size=4).map(tuple), st.binary(min_size=16, max_size=16))
@settings(max_examples=60)
def test_every_header_parses_back_and_opens_with_its_file_key_only(found: tuple[Stanza, ...], key: bytes) -> None:
    header = Header.sealed(found, key)
    assert parse_header(header.serialise(), "header") == header
    assert header.opens_with(key)
    assert not header.opens_with(bytes([key[0] ^ 1]) + key[1:])


@given(st.binary(max_size=80))
@settings(max_examples=60)
def test_only_canonical_base64_decodes(text: bytes) -> None:
    assert decode_base64(encode_base64(text)) == text
    try:
        data = decode_base64(text)
    except ValueError:
        return
    assert encode_base64(data) == text


@given(st.binary(max_size=400))
@settings(max_examples=60)
def test_any_bytes_after_the_version_line_are_refused_without_a_traceback(data: bytes) -> None:
    with pytest.raises((HeaderDamaged, WrongIdentity)):
        AgeReader(io.BytesIO(V1 + data), [IDENTITY])
