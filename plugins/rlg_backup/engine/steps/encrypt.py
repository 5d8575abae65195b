"""encrypt: staged members > ZIP > age, in one streaming pass, with the digests taken as it is written."""

from __future__ import annotations

from datetime import datetime
from typing import BinaryIO, cast

from ...core.private import create_private
from ...format.age import encrypt as encrypt_to
from ...format.container import ZipWriter
from ..archives import ARCHIVE
from ..heartbeat import heartbeat
from ..members import StagedMember
from ..staged_files import staging_disk
from ..wiring import Wiring
from ..workspace import Reference, Workspace


def encrypt(wiring: Wiring, reference: Reference) -> Reference:
    """Write the archive; only members whose leak check ran get into one."""
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    staged = workspace.record("snapshot")
    workspace.record("anonymize")
    workspace.remove_file(ARCHIVE)
    taken_at = datetime.strptime(staged["identity"]["taken_at"], "%Y-%m-%dT%H:%M:%S%z")
    members = [StagedMember(**member) for member in staged["members"]]
    with heartbeat(wiring, reference), staging_disk(ARCHIVE), create_private(workspace.path(ARCHIVE)) as file:
        sink = encrypt_to(file, wiring.recipients)
        archive = ZipWriter(cast(BinaryIO, sink), taken_at)
        for place, member in enumerate(members, 1):
            with workspace.open_file(member.file) as content:
                archive.add(
                    member.name,
                    content,
                    size=member.size,
                    compressed_size=member.compressed_size,
                    crc32=member.crc32,
                    sha256=bytes.fromhex(member.sha256),
                    deflated=member.deflated,
                )
            wiring.progress("encrypt", place, len(members))
        directory = archive.close()
        sink.close()
        file.flush()  # and no fsync: after a crash the next step finds what the disk has lost
    return workspace.put_record(
        "encrypt",
        {
            "zone": "default",
            "size": sink.size,
            "sha256": sink.sha256,
            "header_size": sink.header_size,
            "payload_sha256": sink.payload_sha256,
            "directory": {"offset": directory.offset, "length": directory.length, "sha256": directory.sha256},
            "profile_sha256": staged["profile_sha256"],
        },
    )
