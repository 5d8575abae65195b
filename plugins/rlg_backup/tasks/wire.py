"""The engine's wiring inside Airflow: clients from connections, secrets from backends that only some workers reach."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.errors import KeyUnavailable
from .clients import client, connection_exists
from .configuration import config_path, settings

if TYPE_CHECKING:
    from ..config.connections import Connection
    from ..config.settings import SecretsBackend, Settings
    from ..engine.wiring import Wiring

log = logging.getLogger(__name__)


def wire() -> Wiring:
    """A wiring for this task. Reads the configuration as it is now."""
    from ..engine.wiring import Wiring

    found = settings()
    return Wiring(
        found,
        base=config_path().resolve().parent,
        clients=client,
        connections=connection,
        resolvers={"secret": resolver(found)},
    )


def connection(name: str) -> Connection | None:
    """An Airflow connection, from wherever Airflow has it."""
    from airflow.sdk import Connection as AirflowConnection

    from ..config.connections import Connection

    if not connection_exists(name):
        return None
    found = AirflowConnection.get(name)
    return Connection(
        found.conn_type or "",
        found.host or None,
        found.port,
        found.login or None,
        found.password or None,
        found.schema or None,
        found.extra_dejson,
    )


def resolver(found: Settings) -> Callable[[str], str]:
    """Reads ``secret:BACKEND/KEY``: the variable KEY of a backend named under ``secrets``."""

    def resolve(rest: str) -> str:
        name, _, key = rest.partition("/")
        backend = found.secrets.get(name)
        if backend is None:
            known = ", ".join(sorted(found.secrets)) or "none"
            raise KeyUnavailable("read", f"secret:{name}", f"'secrets' names no such backend (there are: {known})")
        if not key:
            raise KeyUnavailable("read", f"secret:{rest}", "it names no variable", f"write secret:{name}/KEY")
        try:
            value = _open(backend).get_variable(key)
        except KeyUnavailable:
            raise
        except Exception as error:  # a vendor's client raises what it likes, and its text may hold what it was given
            cause = f"the backend does not give it ({type(error).__name__})"
            raise KeyUnavailable(
                "read", f"secret:{rest}", cause, f"look at secrets.{name} and its permissions"
            ) from None
        if value is None:
            raise KeyUnavailable("read", f"secret:{rest}", "the backend holds no such variable")
        return str(value)

    return resolve


def _open(backend: SecretsBackend) -> Any:
    from importlib import import_module

    module, _, name = backend.backend.rpartition(".")
    try:
        return getattr(import_module(module), name)(**backend.kwargs)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        cause = f"the backend cannot be made ({type(error).__name__})"
        raise KeyUnavailable("open", backend.backend, cause, "secrets.<name>.backend is a class") from None
