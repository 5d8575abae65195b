"""What the role of a connection may do on its server: asked before it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .address import Address
from .faults import unreadable

_ASKED: Final = "SELECT rolname, rolsuper, rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"


@dataclass(frozen=True)
class Standing:
    """Who asks, on a server of which version. ``creates`` says that the role may make databases."""

    role: str
    version: str
    superuser: bool
    creates: bool


def standing(address: Address) -> Standing:
    """Raises SourceUnavailable and SourceUnreadable, with the server's reason."""
    import psycopg

    with address.connected() as connection:
        try:
            ((role, superuser, creates),) = connection.execute(_ASKED).fetchall()
            return Standing(role, connection.info.parameter_status("server_version") or "", superuser, creates)
        except psycopg.Error as error:
            raise unreadable("ask", str(address), error) from None
