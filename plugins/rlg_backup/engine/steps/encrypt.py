"""encrypt: staged members > ZIP > age, in one streaming pass, with the digests taken as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, BinaryIO, cast

from ...core.private import create_private
from ...format.age import AgeWriter, Recipient
from ...format.age import encrypt as encrypt_to
from ...format.container import Directory, ZipWriter
from ..archives import STATE
from ..heartbeat import heartbeat
from ..members import StagedMember
from ..proven import proven
from ..residency import archive_name
from ..staged_files import staging_disk
from ..wiring import Wiring
from ..workspace import Reference, Workspace


def encrypt(wiring: Wiring, reference: Reference) -> Reference:
    """Write an archive for each zone, and beside them the change state where the snapshot made one, for recipients of
    its own; only members whose leak check ran get into an archive."""
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    staged = proven(workspace)
    taken_at = datetime.strptime(staged["identity"]["taken_at"], "%Y-%m-%dT%H:%M:%S%z")
    state_members = staged["state_members"]
    archives, state = [], None
    with heartbeat(wiring, reference):
        for zone, profile in sorted(staged["profiles"].items()):
            members = [member for member in staged["members"] if member["zone"] == zone]
            written = _write(wiring, workspace, archive_name(zone), members, wiring.recipients, taken_at)
            archives.append(_entry(zone, profile, *written))
        if state_members:
            noted, _ = _write(wiring, workspace, STATE, state_members, wiring.state_recipients, taken_at)
            state = {"size": noted.size, "sha256": noted.sha256}
    return workspace.put_record("encrypt", {"archives": archives, "state": state})


def _entry(zone: str, profile_sha256: str, sink: AgeWriter, directory: Directory) -> dict[str, Any]:
    """What the manifest says of an archive."""
    return {
        "zone": zone,
        "size": sink.size,
        "sha256": sink.sha256,
        "header_size": sink.header_size,
        "payload_sha256": sink.payload_sha256,
        "directory": {"offset": directory.offset, "length": directory.length, "sha256": directory.sha256},
        "profile_sha256": profile_sha256,
    }


def _write(
    wiring: Wiring,
    workspace: Workspace,
    name: str,
    members: Sequence[dict[str, Any]],
    recipients: Sequence[Recipient],
    taken_at: datetime,
) -> tuple[AgeWriter, Directory]:
    """One file of the staging folder, anew."""
    workspace.remove_file(name)
    with staging_disk(name), create_private(workspace.path(name)) as file:
        sink = encrypt_to(file, recipients)
        archive = ZipWriter(cast(BinaryIO, sink), taken_at)
        for place, member in enumerate((StagedMember(**member) for member in members), 1):
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
    return sink, directory
