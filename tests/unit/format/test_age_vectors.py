"""Files that other implementations wrote, and files of our own from before, open for ever."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from rlg_backup.format.age import AgeReader, SeekableAgeReader, parse_identity
from rlg_backup.format.age.chunks import SEALED, payload_cipher, seal_run
from rlg_backup.format.age.header import parse_header, read_header

FILE = Path(__file__).parents[2] / "vectors" / "age" / "vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text())


def plaintext(size: int) -> bytes:
    return bytes(index * 7 % 251 for index in range(size))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_file_opens_with_each_of_its_identities_streaming_and_seeking(vector: dict[str, Any]) -> None:
    data = base64.b64decode(vector["file"])
    for text in vector["identities"]:
        identity = parse_identity(text)
        assert AgeReader(io.BytesIO(data), [identity]).read() == plaintext(vector["size"])
        reader = SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), [identity])
        assert reader.size == vector["size"]
        assert reader.read_at(0, reader.size) == plaintext(vector["size"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_an_identity_gives_the_recipient_that_its_maker_gave(vector: dict[str, Any]) -> None:
    for text, recipient in zip(vector["identities"], vector["recipients"], strict=True):
        identity = parse_identity(text)
        assert identity.text == text
        assert recipient in (identity.recipient.text, identity.recipient.id)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_parsed_header_serialises_to_the_same_bytes(vector: dict[str, Any]) -> None:
    data = base64.b64decode(vector["file"])
    header, raw, rest = read_header(io.BytesIO(data), "vector")
    assert header.serialise() == raw == data[: len(raw)]
    assert parse_header(raw, "vector") == header
    assert data[len(raw) :].startswith(rest)


def test_the_specification_s_example_identity_gives_its_recipient() -> None:
    text = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
    assert parse_identity(text).recipient.text == "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def test_the_specification_s_example_post_quantum_identity_gives_its_recipient() -> None:
    recipient = parse_identity(
        "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"
    ).recipient
    assert recipient.text.startswith(
        "age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg87pzf5zrqtzdxz95paef6ca"
    )
    assert recipient.text.endswith("ykx3qheyty7saeq0d3fzv49zc0k")


@pytest.mark.parametrize(
    ("key_length", "digest"),
    [
        (16, "bfffbcc6f86ab776ee45a233aef90117c31002370ff27eb73e34d7d1f85385d6"),
        (32, "b5cfb624b255d4a3941bc47104fe502f2133a781bba838f8f05f318e7a6dece8"),
    ],
)
def test_chunks_under_a_known_key_and_nonce_never_change(key_length: int, digest: str) -> None:
    cipher = payload_cipher(bytes(range(key_length)), bytes(range(100, 116)))
    plain = memoryview(plaintext(2 * 65536 + 100))
    out = memoryview(bytearray(3 * SEALED))
    made = seal_run(cipher, 0, plain, True, out)
    assert made == len(plain) + 3 * 16
    assert hashlib.sha256(out[:made]).hexdigest() == digest
