"""What pg_dump wrote of a database's definitions, made again by pg_restore."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from typing import Final

from ...core.errors import BackupError, MemberDamaged
from .address import Address
from .building import complained
from .programs import Complaint, find, run
from .schema_document import DEFINITIONS, SchemaDocument

_NO_SUCH: Final = "42704"
_HARMLESS: Final = "the server does not know a setting"  # transaction_timeout, which pg_restore 17 sets on any server
_SETTINGS: Final = {"maintenance_work_mem": "262144", "synchronous_commit": "off"}  # kB


class Definitions:
    """``dump`` as pg_dump -Fc wrote it, for a server of ``server_version``.

    ``absent`` are roles that the server has not and that may be missing: what they own will be ours, what they were
    granted is left out. With ``tablespaces``, relations go where they were.
    """

    def __init__(
        self, dump: bytes, document: SchemaDocument, server_version: int, *, absent: Collection[str], tablespaces: bool
    ) -> None:
        if document.dumped_by > server_version:
            self._program = find("pg_restore", document.dumped_by, whose="the pg_dump that wrote the definitions")
        else:
            self._program = find("pg_restore", server_version)
        self._absent, self._tablespaces = frozenset(absent), tablespaces
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # without a name: a killed restore leaves nothing of it
        self._file.write(dump)
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def make(self, section: str, address: Address, *, jobs: int = 1, broken_keys: bool = False) -> list[str]:
        """Makes what is in ``section``, pre-data or post-data, with ``jobs`` sessions; returns what could not be made
        as it was. ``broken_keys``: foreign keys that rows break are among that, and no error.

        Raises ParityFailed naming the constraint that rows break, DestinationUnsuitable naming the object that cannot
        be made, MemberDamaged, DestinationUnavailable, StorageFull.
        """

        def tolerated(complaint: Complaint) -> bool:
            absent = complaint.state == _NO_SUCH and complaint.names.get("role") in self._absent
            return absent or complaint.cause == _HARMLESS or (broken_keys and complaint.state == "23503")

        arguments = [f"--section={section}", f"--jobs={jobs}", f"--dbname={address.database}"]
        if not self._tablespaces:
            arguments.append("--no-tablespaces")
        found = run(
            self._program,
            [*arguments, self._path],
            address,
            refused=lambda complaint: self._refused(complaint, address),
            tolerated=tolerated,
            settings=_SETTINGS,
        )
        return [_told(complaint) for complaint in found if complaint.cause != _HARMLESS]

    @property
    def _path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self._file.fileno()}"

    def _refused(self, complaint: Complaint, address: Address) -> BackupError:
        if complaint.cause == "it cannot read it":
            return MemberDamaged("read", f"schema/{DEFINITIONS}", "pg_restore cannot read it")
        return complained(complaint, address)


def _told(complaint: Complaint) -> str:
    subject = complaint.names.get("table") or complaint.names.get("object") or "an object"
    if complaint.state == _NO_SUCH:
        return f"{subject.removeprefix('public.')}: what names the role '{complaint.names['role']}' was left out"
    constraint = complaint.names.get("constraint", "")
    return f"{subject.removeprefix('public.')}: the constraint '{constraint}' was not made: {complaint.cause}"
