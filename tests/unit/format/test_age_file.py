"""Whole files: digests on the way, recipients checked, and no single damaged byte that goes unnoticed."""

from __future__ import annotations

import hashlib
import io
import pickle

import pytest

from rlg_backup.core.errors import (
    DamageError,
    FormatUnsupported,
    HeaderDamaged,
    InvalidSetting,
    KeyMalformed,
    PayloadDamaged,
    RecipientMissing,
    RecipientsMixed,
    WrongIdentity,
)
from rlg_backup.format.age import (
    AgeReader,
    Identity,
    Recipient,
    SeekableAgeReader,
    bech32,
    check_recipients,
    encrypt,
    generate_identity,
    parse_identity,
    parse_recipient,
)

X25519 = generate_identity(post_quantum=False)
HYBRID = generate_identity(post_quantum=True)
PLAIN = b"the rows of one table"
both_types = pytest.mark.parametrize("identity", [X25519, HYBRID], ids=["x25519", "hybrid"])


def sealed(plain: bytes, *recipients: Recipient) -> bytes:
    sink = io.BytesIO()
    with encrypt(sink, recipients) as writer:
        writer.write(plain)
    return sink.getvalue()


def streamed(data: bytes, *identities: Identity) -> bytes:
    return AgeReader(io.BytesIO(data), identities).read()


def seeked(data: bytes, *identities: Identity) -> bytes:
    reader = SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), identities)
    return reader.read_at(0, reader.size)


@both_types
@pytest.mark.parametrize("size", [0, 1, 65536, 200_000])
def test_a_file_comes_back_and_its_digests_are_of_its_bytes(identity: Identity, size: int) -> None:
    sink = io.BytesIO()
    with encrypt(sink, [identity.recipient]) as writer:
        writer.write(bytes(size))
    data = sink.getvalue()
    assert writer.size == len(data)
    assert writer.sha256 == hashlib.sha256(data).hexdigest()
    assert writer.payload_sha256 == hashlib.sha256(data[writer.header_size :]).hexdigest()
    assert data[: writer.header_size].endswith(b"\n")
    assert streamed(data, identity) == seeked(data, identity) == bytes(size)
    assert AgeReader(io.BytesIO(data), [identity]).header_size == writer.header_size


def test_each_recipient_opens_it_and_nobody_else() -> None:
    people = [generate_identity(post_quantum=False) for _ in range(3)]
    data = sealed(PLAIN, people[0].recipient, people[1].recipient)
    for person in people[:2]:
        assert streamed(data, people[2], person) == seeked(data, person) == PLAIN
    with pytest.raises(WrongIdentity):
        streamed(data, people[2])


def test_a_recipient_named_twice_is_written_once() -> None:
    data = sealed(PLAIN, X25519.recipient, parse_recipient(X25519.recipient.text))
    assert data.count(b"-> X25519 ") == 1


def test_nothing_is_written_without_a_recipient_or_with_two_types() -> None:
    sink = io.BytesIO()
    with pytest.raises(RecipientMissing) as missing:
        encrypt(sink, [])
    assert str(missing.value) == (
        "unable to encrypt 'archive': no recipient is configured\n"
        "hint: set 'recipients' to one or more age1... texts; 'age-keygen' makes a pair"
    )
    with pytest.raises(RecipientsMixed) as mixed:
        encrypt(sink, [HYBRID.recipient, X25519.recipient])
    assert str(mixed.value) == (
        "unable to encrypt 'archive': its recipients are of types X25519 and mlkem768x25519\n"
        "hint: use recipients that all begin with age1pq1, or none that does"
    )
    assert sink.getvalue() == b""


def test_more_recipients_than_a_reader_takes_are_refused_by_the_writer() -> None:
    crowd = [generate_identity(post_quantum=True).recipient for _ in range(170)]
    sink = io.BytesIO()
    with pytest.raises(InvalidSetting) as caught:
        encrypt(sink, crowd)
    assert str(caught.value).endswith("and readers take 262144\nhint: use fewer recipients than 170")
    assert sink.getvalue() == b""


def test_check_recipients_keeps_the_order_and_drops_repetitions() -> None:
    first, second = (generate_identity(post_quantum=False).recipient for _ in range(2))
    assert check_recipients([second, first, second]) == (second, first)


def test_digests_of_a_file_that_is_not_whole_are_not_given() -> None:
    writer = encrypt(io.BytesIO(), [X25519.recipient])
    for name in ("size", "sha256", "payload_sha256"):
        with pytest.raises(ValueError, match=r"^the age file is not whole$"):
            getattr(writer, name)
    writer.abandon()
    with pytest.raises(ValueError, match=r"^the age file is not whole$"):
        _ = writer.sha256


@pytest.mark.parametrize("read", [streamed, seeked])
@both_types
def test_every_flipped_byte_is_noticed(identity: Identity, read: object) -> None:
    assert callable(read)
    data = sealed(PLAIN, identity.recipient)
    seen = set()
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises((DamageError, WrongIdentity)) as caught:
            read(bytes(damaged), identity)
        seen.add(type(caught.value))
    assert seen == {FormatUnsupported, HeaderDamaged, PayloadDamaged, WrongIdentity}


@pytest.mark.parametrize("read", [streamed, seeked])
@both_types
def test_every_truncation_is_noticed(identity: Identity, read: object) -> None:
    assert callable(read)
    data = sealed(PLAIN, identity.recipient)
    header = data.index(b"\n", data.index(b"---")) + 1
    for length in range(len(data)):
        with pytest.raises(DamageError) as caught:
            read(data[:length], identity)
        assert type(caught.value) is (HeaderDamaged if length < header else PayloadDamaged)


def test_the_payload_of_another_file_under_this_header_does_not_open() -> None:
    one, other = sealed(PLAIN, X25519.recipient), sealed(PLAIN, X25519.recipient)
    header = one.index(b"\n", one.index(b"---")) + 1
    with pytest.raises(PayloadDamaged):
        streamed(one[:header] + other[header:], X25519)


def test_a_small_file_is_read_with_one_request_and_a_large_one_with_two_before_its_rows() -> None:
    for size, requests in ((1000, 1), (300_000, 2)):
        data = sealed(bytes(size), X25519.recipient)
        asked: list[int] = []

        def read(offset: int, length: int, data: bytes = data, asked: list[int] = asked) -> bytes:
            asked.append(length)
            return data[offset : offset + length]

        SeekableAgeReader(read, len(data), [X25519])
        assert len(asked) == requests


def test_a_header_larger_than_the_first_request_is_read_on() -> None:
    people = [generate_identity(post_quantum=True) for _ in range(45)]
    data = sealed(PLAIN, *(person.recipient for person in people))
    assert len(data) > 65536
    assert seeked(data, people[-1]) == streamed(data, people[-1]) == PLAIN


def test_a_store_that_gives_less_of_the_header_than_asked_is_named() -> None:
    data = sealed(PLAIN, X25519.recipient)
    with pytest.raises(HeaderDamaged) as caught:
        SeekableAgeReader(lambda offset, length: data[:10], len(data), [X25519])
    assert str(caught.value) == f"unable to decrypt 'archive': of {len(data)} bytes at 0 the storage gave 10"


@both_types
def test_key_texts_parse_back_to_the_same_key(identity: Identity) -> None:
    again = parse_identity(f" {identity.text}\n")
    assert again.recipient == identity.recipient == parse_recipient(identity.recipient.text)
    assert len({again.recipient, identity.recipient}) == 1
    assert identity.recipient.id == hashlib.sha256(identity.recipient.text.encode()).hexdigest()[:16]


@both_types
def test_no_repr_shows_a_secret_and_no_identity_can_be_pickled(identity: Identity) -> None:
    assert repr(identity) == f"{type(identity).__name__}({identity.recipient.id})"
    assert repr(identity.recipient) == f"{type(identity.recipient).__name__}({identity.recipient.id})"
    with pytest.raises(TypeError, match=r"^an identity is not to be pickled$"):
        pickle.dumps(identity)


RECIPIENT_FAULTS = {
    "identity": (
        X25519.text,
        "it is an identity, the secret half\n"
        "hint: encrypting needs only the public half; keep the identity where restores run",
    ),
    "upper case": (X25519.recipient.text.upper(), "it does not begin with 'age1'"),
    "wrong character": (X25519.recipient.text[:-1] + "!", "it has a character that Bech32 does not use"),
    "cut": (X25519.recipient.text[:-1], "its checksum is wrong"),
    "short": (bech32.encode("age", bytes(31)), "it holds 31 bytes, not 32"),
    "low order": (bech32.encode("age", bytes(32)), "it is a point of low order, which hides nothing"),
    "other type": (
        bech32.encode("age1tag", bytes(33)),
        "it is of a type that is not supported\n"
        "hint: use a recipient that begins with age1pq1, or with age1 and no other 1 in it",
    ),
    "short hybrid": (bech32.encode("age1pq", bytes(32)), "it holds 32 bytes, not 1216"),
    "no hybrid key": (bech32.encode("age1pq", b"\xff" * 1216), "it is not a key that can be encrypted to"),
    "ssh key": ("ssh-ed25519 AAAA", "it does not begin with 'age1'"),
    "nothing": ("", "it does not begin with 'age1'"),
}
IDENTITY_FAULTS = {
    "recipient": (
        X25519.recipient.text,
        "it is a recipient, the public half\nhint: an identity begins with AGE-SECRET-KEY-",
    ),
    "lower case": (X25519.text.lower(), "it does not begin with 'AGE-SECRET-KEY-'"),
    "cut": (X25519.text[:-1], "its checksum is wrong"),
    "cut hybrid": (HYBRID.text[:-1], "its checksum is wrong"),
    "short hybrid": (bech32.encode("age-secret-key-pq-", bytes(31)).upper(), "it holds 31 bytes, not 32"),
    "plugin": ("AGE-PLUGIN-X-1", "it does not begin with 'AGE-SECRET-KEY-'"),
    "no key": ("AGE-SECRET-KEY-", "it has no prefix"),
    "other type": (bech32.encode("age-secret-key-x-", bytes(32)).upper(), "it does not begin with 'AGE-SECRET-KEY-1'"),
}


@pytest.mark.parametrize("name", RECIPIENT_FAULTS)
def test_what_is_not_a_recipient_is_refused_with_its_fault(name: str) -> None:
    text, cause = RECIPIENT_FAULTS[name]
    with pytest.raises(KeyMalformed) as caught:
        parse_recipient(text)
    assert str(caught.value) == f"unable to read 'age recipient': {cause}"


@pytest.mark.parametrize("name", IDENTITY_FAULTS)
def test_what_is_not_an_identity_is_refused_without_showing_it(name: str) -> None:
    text, cause = IDENTITY_FAULTS[name]
    with pytest.raises(KeyMalformed) as caught:
        parse_identity(text)
    assert str(caught.value) == f"unable to read 'age identity': {cause}"
