"""What a PostgreSQL server refuses, in words that hold no value of a row and no password.

A server's message may quote a value (``invalid input syntax for type integer: "..."``); only the names that the
protocol gives in fields of their own are used, and the reason by its SQLSTATE (PostgreSQL documentation, appendix A).
"""

from __future__ import annotations

from typing import Any

from ...core.errors import SourceError, SourceUnavailable, SourceUnreadable

_CAUSES = {
    "08": "the connection to the server was lost or refused",
    "28P01": "the password is wrong",
    "28": "the server does not accept this user from here",
    "3D000": "there is no such database",
    "42501": "permission denied",
    "53100": "the server's disk is full",
    "53200": "the server has no memory left",
    "53300": "the server takes no more connections",
    "54": "it is larger or more complex than the server can take",
    "55P03": "another session holds it locked",
    "57014": "the server cancelled the statement",
    "57P01": "the server was shut down, or the session ended by an administrator",
    "57P02": "the server crashed",
    "57P03": "the server is starting up or shutting down",
    "25P03": "the server ended the session because it was idle",
    "58": "the server's disk does not give what it holds",
    "XX001": "it is damaged: the server finds a page that is not as it was written",
    "XX002": "it is damaged: the server finds an index that is not as it was written",
    "22021": "it holds text that is not UTF-8, and the database does not say in which encoding it is",
    "23502": "a row has no value where one is required",
    "23503": "a row refers to one that is not there",
    "23505": "rows repeat a value that must be unique",
    "23514": "a row breaks a check",
    "23P01": "rows exclude each other",
    "42P06": "there is a schema of that name",
    "42710": "there is an object of that name",
    "3F000": "it needs a schema that is not there",
    "42704": "it needs something that is not there",
    "42883": "it needs a function or operator that is not there",
    "42P01": "it needs a table that is not there",
    "0A000": "the server lacks a feature that it needs",
    "58P01": "the server lacks a file that it needs",
}
MAY_READ = "GRANT pg_read_all_data TO the user; for tables with row security also ALTER ROLE ... BYPASSRLS"
_NAMELESS = (
    "perhaps a function in one of its indexes or statistics names something without its schema, so that no restore "
    "could make that index: name the schema there, or ALTER FUNCTION ... SET search_path"
)
_HINTS = {"42501": MAY_READ, "3F000": _NAMELESS, "42704": _NAMELESS, "42883": _NAMELESS, "42P01": _NAMELESS}
TRANSIENT = ("08", "53", "55P03", "57P", "40", "25P03")  # states after which trying again can help
_REFUSALS = {  # what libpq says where it never came to a session, and there is no SQLSTATE; and whether that may pass
    "password authentication failed": ("the password is wrong", False),
    "no password supplied": ("the server wants a password, and there is none", False),
    "no pg_hba.conf entry": ("the server does not accept this user from here", False),
    "too many clients": (_CAUSES["53300"], True),
    "remaining connection slots": (_CAUSES["53300"], True),
    "too many connections": (_CAUSES["53300"], True),
    "is not permitted to log in": ("the server does not accept this user from here", False),
    "does not exist": ("there is no such database or user", False),
    "Connection refused": ("no server answers there", True),
    "No such file or directory": ("no server answers there", True),
    "could not translate host name": ("there is no host of that name", True),
    "timeout expired": ("no server answers there in time", True),
    "starting up": (_CAUSES["57P03"], True),
    "shutting down": (_CAUSES["57P03"], True),
    ' value: "': ("a parameter of the connection has a value that libpq does not know", False),
    "certificate": ("the encrypted connection could not be made", False),
    "SSL": ("the encrypted connection could not be made", False),
}


def state_of(error: BaseException) -> str:
    """The SQLSTATE of what psycopg or ADBC raises, or ''."""
    found = getattr(error, "sqlstate", None)
    return found.decode() if isinstance(found, bytes) else found or ""


def cause_of(error: BaseException) -> str:
    """The reason, with the names of table, column and constraint that the server gave."""
    state, diagnosis = state_of(error), getattr(error, "diag", None)
    if not state:
        return _refusal(error)[0]
    for length in (5, 2):
        if state[:length] in _CAUSES:
            return f"{_CAUSES[state[:length]]}{_named(diagnosis)}"
    return f"PostgreSQL reports the state {state}{_named(diagnosis)}"


def unreadable(verb: str, subject: str, error: BaseException) -> SourceError:
    """What a driver's exception is to who reads: SourceUnavailable where the same may go well later."""
    state = state_of(error)
    passing = state.startswith(TRANSIENT) if state else _refusal(error)[1]
    kind = SourceUnavailable if passing else SourceUnreadable
    return kind(verb, subject, cause_of(error), _HINTS.get(state))


def _refusal(error: BaseException) -> tuple[str, bool]:
    said = str(error)
    return next((found for words, found in _REFUSALS.items() if words in said), (_CAUSES["08"], True))


def _named(diagnosis: Any) -> str:
    names = [
        f"{word} '{found}'"
        for word, attribute in (("table", "table_name"), ("column", "column_name"), ("constraint", "constraint_name"))
        if (found := getattr(diagnosis, attribute, None))
    ]
    return f" ({', '.join(names)})" if names else ""
