"""Parsers of what an archive is wrapped in: age, keys, the ZIP."""

from __future__ import annotations

import io
from dataclasses import asdict

from tests.fuzz.target import IDENTITIES, SEED, SIGNING, ranges, target

from rlg_backup.core.errors import BackupError
from rlg_backup.format.age import AgeReader, SeekableAgeReader, encrypt, parse_identity, parse_recipient
from rlg_backup.format.age.seek import SeekablePayloadReader
from rlg_backup.format.age.stream import PayloadReader, PayloadWriter
from rlg_backup.format.container import ZipReader, ZipWriter
from rlg_backup.format.keys import Signer, SigningKey, StagingKey, TokenizationKey
from rlg_backup.format.packing import pack
from rlg_backup.format.zipfields import END_SIZE, end_records

# --- age --------------------------------------------------------------------------------------------


def age_files() -> list[bytes]:
    made = []
    for identity in IDENTITIES:
        sink = io.BytesIO()
        with encrypt(sink, [identity.recipient]) as writer:
            writer.write(b"plain text " * 8)
        made.append(sink.getvalue())
    return made


@target("age", age_files)
def age(data: bytes) -> bytes:
    """Streamed and by ranges, which must agree on what is an age file, and on its content."""
    outcomes: list[bytes | type[BackupError]] = []
    for read in (_streamed, _ranged):
        try:
            outcomes.append(read(data))
        except BackupError as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1], f"streamed {outcomes[0]!r}, by ranges {outcomes[1]!r}"
    if isinstance(outcomes[0], type):
        raise outcomes[0]("decrypt", "archive", "refused")
    return outcomes[0]


def _streamed(data: bytes) -> bytes:
    return AgeReader(io.BytesIO(data), IDENTITIES, name="archive").read()


def _ranged(data: bytes) -> bytes:
    reader = SeekableAgeReader(ranges(data), len(data), IDENTITIES, name="archive")
    return reader.read_at(0, reader.size)


def payloads() -> list[bytes]:
    sinks = [io.BytesIO(), io.BytesIO(), io.BytesIO()]
    for sink, size in zip(sinks, (0, 300, 65_537), strict=True):
        with PayloadWriter(sink, SEED) as writer:
            writer.write(bytes(size))
    return [sink.getvalue() for sink in sinks]


@target("age_payload", payloads)
def payload(data: bytes) -> bytes:
    found = PayloadReader(io.BytesIO(data), SEED).read()
    reader = SeekablePayloadReader(ranges(data), len(data), SEED)
    assert reader.read_at(0, reader.size) == found
    return found


def key_texts() -> list[bytes]:
    texts = [SIGNING.text, TokenizationKey(SEED).text, StagingKey(SEED).text, SIGNING.signer.text]
    return [text.encode() for text in [*texts, *(i.text for i in IDENTITIES), *(i.recipient.text for i in IDENTITIES)]]


@target("key_text", key_texts)
def key_text(data: bytes) -> list[object]:
    """As every kind of key; what refuses it must not show it: it may be a secret with a slip in it."""
    text = data.decode("utf-8", "replace")
    found: list[object] = []
    for read in (
        parse_recipient, parse_identity, Signer.parse, SigningKey.parse, TokenizationKey.parse, StagingKey.parse
    ):  # fmt: skip
        try:
            found.append(read(text))
        except BackupError as error:
            shown = text.strip()[-12:]
            assert len(shown) < 12 or shown not in str(error), "the error shows the key"
    if not found:
        raise BackupError("read", "key", "refused")
    return found


# --- the container ----------------------------------------------------------------------------------


def archive(contents: dict[str, bytes]) -> bytes:
    from tests.unit.format.zips import WHEN

    sink = io.BytesIO()
    writer = ZipWriter(sink, WHEN)
    for name, content in contents.items():
        packed = io.BytesIO()
        facts = pack(io.BytesIO(content), packed)
        writer.add(name, io.BytesIO(packed.getvalue()), **asdict(facts))
    writer.close()
    return sink.getvalue()


def archives() -> list[bytes]:
    return [
        archive({}),
        archive({"README.txt": b"a" * 500, "data/main.t/part-00000.parquet": b"PAR1", "profile.json": b"{}"}),
    ]


@target("zip", archives)
def zip_archive(data: bytes) -> int:
    """The directory as it is found from the end, then every member to its end."""
    members = ZipReader.locate(ranges(data), len(data))
    size = 0
    for name, member in members.members.items():
        read = 0
        with members.open(name) as stream:
            while piece := stream.read(1 << 20):
                read += len(piece)
                assert read <= member.size, "a member gave more than its directory says"
        size += read
    return size


BODY = archive({"README.txt": b"a" * 500, "profile.json": b"{}"})
ENTRIES_AT = BODY.index(b"PK\x01\x02")


@target("zip_entries", lambda: [BODY[ENTRIES_AT:-END_SIZE]])
def zip_entries(data: bytes) -> object:
    """Entries of a directory behind which the end records are right: what is wrong in them is met by their parser."""
    count = data.count(b"PK\x01\x02")
    return zip_archive(BODY[:ENTRIES_AT] + data + end_records(count, len(data), ENTRIES_AT))
