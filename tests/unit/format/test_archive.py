"""An archive from end to end: rows > parts > ZIP > age > manifest, and back by ranges."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.format.documents import PROFILE

from rlg_backup.core.errors import DirectoryDamaged, DocumentDamaged, MemberDamaged
from rlg_backup.format.age import Identity, SeekableAgeReader, encrypt, generate_identity
from rlg_backup.format.archive import open_archive, read_profile
from rlg_backup.format.container import ZipWriter
from rlg_backup.format.digest import Xxh3RowDigest
from rlg_backup.format.manifest import ArchiveEntry
from rlg_backup.format.packing import MemberSink, Packed, pack
from rlg_backup.format.profile import Profile
from rlg_backup.format.rows import PartWriter, read_part

WHEN = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
IDENTITY = generate_identity(post_quantum=False)
BATCHES = [
    pa.record_batch({"id": pa.array(range(start, start + 30_000)), "t": ["é"] * 30_000}) for start in (0, 30_000)
]
FOLDER = "data/main.accounts"


def staged_parts() -> list[tuple[io.BytesIO, Packed]]:
    staged: list[tuple[io.BytesIO, MemberSink]] = []

    def open_part(number: int) -> Any:
        sink = io.BytesIO()
        staged.append((sink, MemberSink(sink)))
        return staged[number][1]

    writer = PartWriter(open_part, max_part_bytes=1)
    for batch in BATCHES:
        writer.write(batch)
    writer.write(pa.record_batch({"id": pa.array(range(9_000)), "t": ["x"] * 9_000}))
    assert writer.close() == [0, 1]
    return [(io.BytesIO(sink.getvalue()), member.packed) for sink, member in staged if member.packed]


def archive(profile: bytes) -> tuple[bytes, ArchiveEntry]:
    sink = io.BytesIO()
    age = encrypt(sink, [IDENTITY.recipient])
    members = ZipWriter(age, WHEN)
    for number, (stream, packed) in enumerate(staged_parts()):
        members.add(f"{FOLDER}/part-{number:05d}.parquet", stream, **asdict(packed))
    staged = io.BytesIO()
    packed = pack(io.BytesIO(profile), staged)
    members.add("profile.json", io.BytesIO(staged.getvalue()), **asdict(packed))
    directory = members.close()
    age.close()
    entry = {
        "zone": "default",
        "size": age.size,
        "sha256": age.sha256,
        "header_size": age.header_size,
        "payload_sha256": age.payload_sha256,
        "directory": asdict(directory),
        "profile_sha256": hashlib.sha256(profile).hexdigest(),
    }
    return sink.getvalue(), ArchiveEntry.from_dict(entry, "x")


def plaintext(data: bytes, identity: Identity = IDENTITY) -> SeekableAgeReader:
    return SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), [identity])


GOOD_PROFILE = Profile.from_dict(PROFILE, "x")


def test_rows_and_profile_come_back_from_an_encrypted_archive_by_ranges() -> None:
    data, entry = archive(GOOD_PROFILE.to_bytes())
    opened = open_archive(plaintext(data).read_at, entry)
    assert read_profile(opened, entry) == GOOD_PROFILE
    assert list(opened.members) == [f"{FOLDER}/part-00000.parquet", f"{FOLDER}/part-00001.parquet", "profile.json"]
    before, after = Xxh3RowDigest(bytes(32)), Xxh3RowDigest(bytes(32))
    for batch in [*BATCHES, pa.record_batch({"id": pa.array(range(9_000)), "t": ["x"] * 9_000})]:
        before.update(batch)
    for name in list(opened.members)[:2]:
        for batch in read_part(io.BytesIO(opened.read(name, limit=10**7)), name):
            after.update(batch)
    assert (after.rows, after.hexdigest()) == (before.rows, before.hexdigest()) == (69_000, before.hexdigest())


@pytest.mark.parametrize("change", [{"offset": -1, "length": 1}, {"offset": 0, "length": -1}, {"sha256": "0" * 64}])
def test_a_directory_that_is_not_the_one_of_the_manifest_is_refused(change: dict[str, Any]) -> None:
    data, entry = archive(GOOD_PROFILE.to_bytes())
    place = entry.directory.to_dict()
    moved = {key: change[key] if key == "sha256" else place[key] + change[key] for key in change}
    entry = ArchiveEntry.from_dict({**entry.to_dict(), "directory": {**place, **moved}}, "x")
    with pytest.raises(DirectoryDamaged) as caught:
        open_archive(plaintext(data).read_at, entry)
    cause = "its directory is not the one the manifest names"
    assert str(caught.value) == f"unable to verify 'default.zip.age': {cause}"


def test_bytes_after_the_directory_are_refused() -> None:
    data, entry = archive(GOOD_PROFILE.to_bytes())
    whole = plaintext(data).read_at(0, 10**9) + b"x"
    with pytest.raises(DirectoryDamaged) as caught:
        open_archive(lambda offset, length: whole[offset : offset + length], entry)
    cause = "its directory is not the one the manifest names"
    assert str(caught.value) == f"unable to verify 'default.zip.age': {cause}"


def test_another_profile_than_the_manifest_names_is_refused() -> None:
    data, entry = archive(GOOD_PROFILE.to_bytes())
    other = ArchiveEntry.from_dict({**entry.to_dict(), "profile_sha256": "0" * 64}, "x")
    with pytest.raises(DocumentDamaged) as caught:
        read_profile(open_archive(plaintext(data).read_at, entry), other)
    assert str(caught.value) == "unable to read 'profile.json': its SHA-256 is not the one the manifest names"


def test_an_archive_without_a_profile_is_refused() -> None:
    sink = io.BytesIO()
    directory = ZipWriter(sink, WHEN).close()
    _, entry = archive(GOOD_PROFILE.to_bytes())
    entry = ArchiveEntry.from_dict({**entry.to_dict(), "directory": asdict(directory)}, "x")
    data = sink.getvalue()
    with pytest.raises(MemberDamaged) as caught:
        read_profile(open_archive(lambda offset, length: data[offset : offset + length], entry), entry)
    assert str(caught.value) == "unable to read 'profile.json': the archive has no such member"
