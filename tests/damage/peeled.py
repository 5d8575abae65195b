"""An archive taken apart layer by layer, so that each has to speak for itself: the ZIP, its directory, the manifest."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from tests.damage.tiny import Tiny, archive_key

from rlg_backup.catalog.points import RestorePoint
from rlg_backup.engine.archives import STATE, Archive
from rlg_backup.engine.restore_points import Chosen
from rlg_backup.format.age import AgeReader, encrypt
from rlg_backup.format.archive import open_archive
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.container import ZipReader, ZipWriter
from rlg_backup.format.manifest import DirectoryEntry, StateEntry
from rlg_backup.format.packing import pack


def plaintext_of(tiny: Tiny, chosen: Chosen) -> bytes:
    return AgeReader(io.BytesIO(tiny.archive(chosen)), tiny.identities).read()


def members_of(plaintext: bytes) -> dict[str, bytes]:
    archive = ZipReader.locate(lambda offset, length: plaintext[offset : offset + length], len(plaintext))
    return {name: archive.read(name, limit=1 << 30) for name in archive.members}


def packed(members: Mapping[str, bytes]) -> bytes:
    """A ZIP as this format writes it, every digest in it right."""
    sink = io.BytesIO()
    writer = ZipWriter(sink, datetime(2026, 11, 23, 2, tzinfo=UTC))
    for name, content in members.items():
        staged = io.BytesIO()
        made = pack(io.BytesIO(content), staged)
        staged.seek(0)
        writer.add(name, staged, **made.__dict__)
    writer.close()
    return sink.getvalue()


def encrypted(tiny: Tiny, plaintext: bytes) -> bytes:
    """An age file by somebody who knows our public recipients and nothing else."""
    sink = io.BytesIO()
    with encrypt(sink, tiny.wiring.recipients) as writer:
        writer.write(plaintext)
    return sink.getvalue()


def opened(chosen: Chosen, plaintext: bytes) -> Archive:
    """What the manifest's directory digest lets through, of a plaintext that decrypted."""
    entry = chosen.manifest.archives[0]
    return Archive([(open_archive(lambda offset, length: plaintext[offset : offset + length], entry), entry)])


def described(chosen: Chosen, plaintext: bytes, data: bytes = b"") -> Chosen:
    """The restore point as if its manifest named this archive, but for the profile in it."""
    archive = ZipReader.locate(lambda offset, length: plaintext[offset : offset + length], len(plaintext))
    offset = max((member.end for member in archive.members.values()), default=0)
    digest = hashlib.sha256(plaintext[offset:]).hexdigest()
    directory = DirectoryEntry(offset=offset, length=len(plaintext) - offset, sha256=digest)
    changes: dict[str, object] = {"directory": directory}
    if data:
        header = data.index(b"\n", data.index(b"\n---") + 1) + 1
        changes |= {"size": len(data), "header_size": header, "sha256": hashlib.sha256(data).hexdigest()}
        changes["payload_sha256"] = hashlib.sha256(data[header:]).hexdigest()
    entry = chosen.manifest.archives[0].model_copy(update=changes)
    return replace(chosen, manifest=chosen.manifest.model_copy(update={"archives": (entry,)}))


def sign_for(tiny: Tiny, chosen: Chosen, plaintext: bytes) -> None:
    """What a thief of the signing key can do: archive, manifest and record agree, and the machine has seen nothing."""
    data = encrypted(tiny, plaintext)
    (entry,) = described(chosen, plaintext, data).manifest.archives
    profile = hashlib.sha256(members_of(plaintext)["profile.json"]).hexdigest()
    tiny.storage.plant(archive_key(chosen), data)
    sign_manifest(tiny, chosen, archives=(entry.model_copy(update={"profile_sha256": profile}),))


def sign_state_for(tiny: Tiny, chosen: Chosen, plaintext: bytes) -> None:
    """The same for the change state."""
    sink = io.BytesIO()
    with encrypt(sink, tiny.wiring.state_recipients) as writer:
        writer.write(plaintext)
    data = sink.getvalue()
    tiny.storage.plant(f"{chosen.folder}/{STATE}", data)
    sign_manifest(tiny, chosen, state=StateEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest()))


def sign_manifest(tiny: Tiny, chosen: Chosen, **changes: object) -> None:
    """A manifest that says something else, and the record that names it."""
    manifest = chosen.manifest.model_copy(update=changes).sign(tiny.wiring.signing_key)
    tiny.storage.plant(f"{chosen.folder}/manifest.json", manifest)
    record = record_of(tiny, chosen.point).model_copy(update={"manifest_sha256": hashlib.sha256(manifest).hexdigest()})
    tiny.storage.plant(chosen.point.key, record.sign(tiny.wiring.signing_key))
    (tiny.world.root / "state" / "seen.json").unlink(missing_ok=True)


def record_of(tiny: Tiny, point: RestorePoint) -> CommitRecord:
    data = tiny.storage.bytes_of(point.key)
    return CommitRecord.load(data, tiny.wiring.trusted, path=point.key, target=point.target)
