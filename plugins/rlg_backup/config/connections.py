"""Connections as Airflow names them in the environment, ``AIRFLOW_CONN_<ID>``: read without Airflow.

Both of its forms are known: a URI, whose parts are percent-encoded, and JSON (Airflow documentation, Managing
Connections). Inside Airflow its own look-up is used instead, which asks secrets backends too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..core.errors import InvalidSetting

HINT = "give it as a URI, postgres://user:password@host:5432/database, or as JSON"


@dataclass(frozen=True)
class Connection:
    """What a connection says. ``database`` is what Airflow calls its schema."""

    kind: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def variable_of(name: str) -> str:
    """The variable that holds a connection."""
    return f"AIRFLOW_CONN_{name.upper()}"


def connection_in(environment: Mapping[str, str], name: str) -> Connection | None:
    """The connection ``name``, or None where its variable is not set. Raises InvalidSetting, quoting nothing of it."""
    text = environment.get(variable_of(name), "").strip()
    if not text:
        return None
    try:
        return _from_json(text) if text.startswith("{") else _from_uri(text)
    except (ValueError, TypeError, AttributeError):
        raise InvalidSetting("read", variable_of(name), "it is not a connection", HINT) from None


def _from_uri(text: str) -> Connection:
    parts = urlsplit(text)
    if not parts.scheme or (not parts.netloc and not parts.path):
        raise ValueError
    extra: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "__extra__" in extra:  # how Airflow writes an extra that is no flat mapping of texts
        extra = json.loads(extra["__extra__"])
    return Connection(
        kind=parts.scheme,
        host=host_of(parts),
        port=parts.port,
        login=_text(parts.username),
        password=_text(parts.password),
        database=_text(parts.path.removeprefix("/")),
        extra=extra,
    )


def _from_json(text: str) -> Connection:
    fields = json.loads(text)
    extra = fields.get("extra") or {}
    port = fields.get("port")
    return Connection(
        kind=fields.get("conn_type", ""),
        host=fields.get("host") or None,
        port=int(port) if port not in (None, "") else None,
        login=fields.get("login") or None,
        password=fields.get("password") or None,
        database=fields.get("schema") or None,
        extra=json.loads(extra) if isinstance(extra, str) else dict(extra),
    )


def host_of(parts: SplitResult) -> str | None:
    """The host of a URI as it was written: ``hostname`` is in lower case, which the folder of a socket may not be."""
    place = parts.netloc.rpartition("@")[2]
    host = place[1 : place.index("]")] if place.startswith("[") else place.partition(":")[0]
    return _text(host)


def _text(part: str | None) -> str | None:
    return unquote(part) if part else None
