"""What pg_dump wrote of a database's definitions, made again by pg_restore."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import IO, Final

from ...core.errors import BackupError, MemberDamaged
from .address import Address
from .building import building, complained, session
from .faults import state_of
from .programs import Complaint, find, run
from .schema_document import DEFINITIONS

_NO_SUCH: Final = "42704"
_BROKEN_KEY: Final = "23503"
_HARMLESS: Final = "the server does not know a setting"  # transaction_timeout, which pg_restore 17 sets on any server
_SETTINGS: Final = {"maintenance_work_mem": "262144", "synchronous_commit": "off"}  # kB
_RIGHTS: Final = re.compile(rb"\d+; \d+ \d+ (DEFAULT )?ACL ")
_ATTACHED: Final = re.compile(rb"\d+; \d+ \d+ INDEX ATTACH ")
_AFTER: Final = re.compile(
    rb"\d+; \d+ \d+ (FK CONSTRAINT|COMMENT|SECURITY LABEL|EVENT TRIGGER|MATERIALIZED VIEW DATA) "
)
_STATEMENT: Final = re.compile(rb"""(?:"(?:[^"]|"")*"|[^";])+;""")
_BESIDES: Final = re.compile(rb"^(--|\\|SET |SELECT pg_catalog\.set_config).*$", re.MULTILINE)
_AS_GRANTOR: Final = (b"SET SESSION AUTHORIZATION", b"RESET SESSION AUTHORIZATION")


class Definitions:
    """``dump`` as pg_dump -Fc of version ``dumped_by`` wrote it, for a server of ``server_version``.

    ``absent`` are roles that the server has not: what they own will be ours, what they were granted is left out, and
    so is a policy for them. With ``tablespaces``, relations go where they were.
    """

    def __init__(
        self, dump: bytes, dumped_by: int, server_version: int, *, absent: Collection[str], tablespaces: bool
    ) -> None:
        if dumped_by > server_version:
            self._program = find("pg_restore", dumped_by, whose="the pg_dump that wrote the definitions")
        else:
            self._program = find("pg_restore", server_version)
        self._absent, self._tablespaces = frozenset(absent), tablespaces
        self._dump = _nameless(dump)

    def close(self) -> None:
        self._dump.close()

    def make(
        self,
        section: str,
        address: Address,
        *,
        jobs: int = 1,
        broken_keys: bool = False,
        besides: re.Pattern[bytes] | None = None,
    ) -> list[str]:
        """Makes what is in ``section``, pre-data or post-data, with ``jobs`` sessions; returns what could not be made
        as it was. ``broken_keys``: foreign keys that rows break are among that, and no error. What ``besides`` matches
        in the archive's list of contents is left out.

        Raises ParityFailed naming the constraint that rows break, DestinationUnsuitable naming the object that cannot
        be made, MemberDamaged, DestinationUnavailable, StorageFull.
        """

        from psycopg.conninfo import make_conninfo

        def tolerated(complaint: Complaint) -> bool:
            absent = complaint.state == _NO_SUCH and complaint.names.get("role") in self._absent
            return absent or complaint.cause == _HARMLESS or (broken_keys and complaint.state == _BROKEN_KEY)

        place = make_conninfo(dbname=address.database)  # a name with "=" in it would be taken for more than a name
        arguments = [f"--section={section}", f"--dbname={place}"]
        if not self._tablespaces:
            arguments.append("--no-tablespaces")
        rights: list[bytes] = []
        passes: Sequence[tuple[Sequence[bytes] | None, int]] = [(None, jobs)]
        if self._absent or besides or jobs > 1:
            lines = [line for line in self.contents(section, address) if not (besides and besides.match(line))]
            rights = [line for line in lines if self._absent and _RIGHTS.match(line)]
            passes = _passes([line for line in lines if line not in rights], jobs)
        found: list[Complaint] = []
        for listed, sessions in passes:
            found += self._run([*arguments, f"--jobs={sessions}"], listed, address, tolerated)
        told = [_told(complaint) for complaint in found if complaint.cause != _HARMLESS]
        if rights:
            self._grant(rights, address)
        return told

    def contents(self, section: str, address: Address) -> list[bytes]:
        """The lines of the archive's list of contents."""
        return self._written([f"--section={section}", "--list"], address).splitlines(keepends=True)

    def _run(
        self,
        arguments: Sequence[str],
        listed: Sequence[bytes] | None,
        address: Address,
        tolerated: Callable[[Complaint], bool],
    ) -> list[Complaint]:
        """Makes what is ``listed``, or all; what was tolerated."""
        with ExitStack() as stack:
            asked = [*arguments]
            if listed is not None:
                asked.append(f"--use-list={_path(stack.enter_context(_nameless(b''.join(listed))))}")
            asked.append(_path(self._dump))
            refused = partial(self._refused, address)
            return run(self._program, asked, address, refused=refused, tolerated=tolerated, settings=_SETTINGS)

    def _grant(self, rights: Sequence[bytes], address: Address) -> None:
        """Grants one by one, so that those to roles that are there are not lost with those to others."""
        with _nameless(b"".join(rights)) as listed:
            script = self._written([f"--use-list={_path(listed)}", "--file=-"], address)
        passing = False  # over what an absent role granted
        connection = session(address)
        try:
            for statement in _statements(script):
                if passing and not statement.startswith(_AS_GRANTOR):
                    continue
                passing = False
                try:
                    with building("grant", str(address)):
                        connection.execute(statement)
                except BackupError as error:
                    if error.__context__ is None or state_of(error.__context__) != _NO_SUCH:
                        raise
                    passing = statement.startswith(_AS_GRANTOR)
        finally:
            connection.close()

    def _written(self, arguments: Sequence[str], address: Address) -> bytes:
        with tempfile.TemporaryFile() as output:
            asked = [*arguments, _path(self._dump)]
            run(self._program, asked, address, refused=partial(self._refused, address), output=output)
            output.seek(0)
            return output.read()

    def _refused(self, address: Address, complaint: Complaint) -> BackupError:
        if complaint.cause == "it cannot read it":
            return MemberDamaged("read", f"schema/{DEFINITIONS}", "pg_restore cannot read it")
        return complained(complaint, address)


def _passes(lines: Sequence[bytes], jobs: int) -> list[tuple[Sequence[bytes], int]]:
    """What is made one after the other, and by how many sessions. Indexes are attached to those of partitioned tables
    by one alone: two sessions at once may each not see that the other's makes the last one valid, and then a unique
    index never is, so that no foreign key can refer to it (seen on 16, in one of fifty restores). Foreign keys alone
    need what is attached; after them comes what pg_restore itself makes last, and what is said of any of these."""
    attached = [line for line in lines if _ATTACHED.match(line)]
    if jobs == 1 or not attached:
        return [(lines, jobs)]
    after = [line for line in lines if _AFTER.match(line)]
    apart = {*attached, *after}
    return [([line for line in lines if line not in apart], jobs), (attached, 1), (after, jobs)]


def _statements(script: bytes) -> Iterator[bytes]:
    """Of a script of grants, in which a quote mark is only ever around a name."""
    for match in _STATEMENT.finditer(_BESIDES.sub(_kept, script)):
        yield match[0].strip()


def _kept(line: re.Match[bytes]) -> bytes:
    return line[0] if line[0].startswith(_AS_GRANTOR) else b""


def _told(complaint: Complaint) -> str:
    subject = (complaint.names.get("table") or complaint.names.get("object") or "an object").removeprefix("public.")
    if complaint.state == _NO_SUCH:
        return f"{subject}: what names the role '{complaint.names['role']}' was left out"
    return f"{subject}: the constraint '{complaint.names.get('constraint', '')}' was not made: {complaint.cause}"


def _nameless(content: bytes) -> IO[bytes]:
    """A file that a program reads by ``_path``, and of which a killed restore leaves nothing."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    file.write(content)
    file.flush()
    return file


def _path(file: IO[bytes]) -> str:
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"
