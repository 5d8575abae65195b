"""Members of an archive while they lie in staging: packed once, described by a record, read back."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, BinaryIO, cast

from ..config.residency import BASE
from ..format.packing import MemberSink, Packed, pack
from .workspace import Workspace


@dataclass(frozen=True)
class StagedMember:
    """``name`` in the archive of ``zone``, ``file`` in the workspace, and what the ZIP directory will say of it."""

    name: str
    file: str
    size: int
    compressed_size: int
    crc32: int
    sha256: str
    deflated: bool
    zone: str = BASE

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class StagedMembers:
    """Collects the members of archives in the workspace; several may be made at the same time, in threads."""

    def __init__(self, workspace: Workspace, kind: str = "member") -> None:
        """Members of one ``kind`` lie in files that are called so."""
        self._workspace, self._kind = workspace, kind
        self._numbers = count(1)  # safe to ask in several threads
        self.members: list[StagedMember] = []

    @property
    def zones(self) -> list[str]:
        """The zones that have members, sorted."""
        return sorted({member.zone for member in self.members})

    def add(self, name: str, content: BinaryIO | bytes, zone: str = BASE) -> StagedMember:
        """Pack a stream, read once; deflated where that saves space."""
        stream = io.BytesIO(content) if isinstance(content, bytes) else content
        file = self._next_file()
        with self._workspace.create_file(file) as sink:
            packed = pack(stream, sink)
        return self._note(name, file, packed, zone)

    @contextmanager
    def stored(self, name: str, zone: str = BASE) -> Iterator[BinaryIO]:
        """A sink for content that is compressed already (Parquet); the member counts when the block ends."""
        file = self._next_file()
        with self._workspace.create_file(file) as raw:
            sink = MemberSink(raw, deflate=False)
            yield cast(BinaryIO, sink)
            sink.close()
        assert sink.packed is not None  # close() sets it
        self._note(name, file, sink.packed, zone)

    def take_back(self, member: StagedMember) -> None:
        """Forget a member whose content did not hold."""
        self.members.remove(member)
        self._workspace.remove_file(member.file)

    def _next_file(self) -> str:
        return f"{self._kind}-{next(self._numbers):06d}"

    def _note(self, name: str, file: str, packed: Packed, zone: str) -> StagedMember:
        member = StagedMember(
            name, file, packed.size, packed.compressed_size, packed.crc32, packed.sha256.hex(), packed.deflated, zone
        )
        self.members.append(member)
        return member


def unpacked(workspace: Workspace, member: Mapping[str, Any]) -> bytes:
    """A small member's own bytes; ``member``: as ``to_json`` gives it."""
    with workspace.open_file(member["file"]) as file:
        data = file.read()
    return zlib.decompress(data, -zlib.MAX_WBITS) if member["deflated"] else data
