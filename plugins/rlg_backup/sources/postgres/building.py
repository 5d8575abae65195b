"""What a server refuses of a database that is being built there, in this package's classes and without a value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import (
    BackupError,
    DestinationUnavailable,
    DestinationUnsuitable,
    MemberDamaged,
    ParityFailed,
    SourceError,
    StorageFull,
)
from .address import Address
from .faults import TRANSIENT, cause_of, state_of
from .programs import LOOK, UNSHOWN, Complaint

if TYPE_CHECKING:
    import psycopg

_FULL: Final = "53100"
_BREAKS: Final = "23"  # integrity constraint violation
_NO_VALUE: Final = ("22", "42804")  # data exception, datatype mismatch
_UNDEFINED: Final = ("42P01", "42703")  # table, column
_INSTALL: Final = "install the extension's files on the server, then restore again"
_SYNTAX: Final = "42601"
_NEWER: Final = (
    "a newer pg_dump may have written it: restore to a server of that version, and back up with one of the source's"
)
_RESERVED: Final = {"keepalives_idle": 60}  # seconds: a session waits for as long as a load takes, and must be noticed


def session(address: Address, *, wanted: Address | None = None) -> psycopg.Connection[Any]:
    """A session for building, where ``wanted`` is; raises DestinationUnavailable, DestinationUnsuitable."""
    subject = str(wanted or address)
    try:
        connection = address.connect(**_RESERVED)
    except SourceError as error:
        kind = DestinationUnavailable if error.transient else DestinationUnsuitable
        raise kind("restore to", subject, error.cause, error.hint) from None
    with building("restore to", subject):
        connection.execute("SET idle_session_timeout = 0")
    return connection


@contextmanager
def building(verb: str, subject: str) -> Iterator[None]:
    """Gives what psycopg raises this package's classes, and none of its words: they may quote a value."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise refused(verb, subject, state_of(error), cause_of(error)) from None


def refused(verb: str, subject: str, state: str, cause: str) -> BackupError:
    """What the SQLSTATE ``state`` is to a restore; '' is a connection that broke."""
    if state == _FULL:
        return StorageFull(verb, subject, "the server's disk is full")
    if not state or state.startswith(TRANSIENT):
        return DestinationUnavailable(verb, subject, cause)
    if state.startswith(_BREAKS):
        return ParityFailed(verb, subject, cause)
    if state.startswith(_NO_VALUE):
        return MemberDamaged(verb, subject, "a value is not of its column's type")
    if state in _UNDEFINED:
        return MemberDamaged(verb, subject, "the definitions lack it, a column of it, or what a value of it names")
    return DestinationUnsuitable(verb, subject, cause)


def complained(complaint: Complaint, address: Address) -> BackupError:
    """What a complaint of pg_restore is to a restore, naming the object that it could not make."""
    names = complaint.names
    found = names.get("table") or names.get("object") or str(address)
    subject = found.removeprefix("public.")
    if "extension" in names:
        cause = f"the server has no extension '{names['extension']}'"
        return DestinationUnsuitable("restore to", str(address), cause, _INSTALL)
    if not complaint.state:
        hint = LOOK if complaint.cause == UNSHOWN else None
        return DestinationUnsuitable("make", subject, complaint.cause, hint)
    if complaint.state == _SYNTAX:
        return DestinationUnsuitable("make", subject, complaint.cause, _NEWER)
    shown = [f"{word} '{names[word]}'" for word in ("constraint", "role", "tablespace", "method") if word in names]
    cause = f"{complaint.cause} ({', '.join(shown)})" if shown else complaint.cause
    return refused("make", subject, complaint.state, cause)
