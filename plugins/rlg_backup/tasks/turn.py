"""Waiting for a source that another run is at work on, without a worker; and the skip of a run that is not needed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from airflow.sdk import PokeReturnValue

    from ..config.settings import Settings

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

NOT_NEEDED = "not_needed"  # the XCom that tells the outcome why a source was skipped


def waiting(settings: Settings) -> dict[str, Any]:
    """What a task is given that may have to wait: between its looks it holds neither a worker nor a slot of a pool."""
    return {
        "mode": "reschedule",
        "poke_interval": max(1, settings.retries.wait_seconds),
        "timeout": settings.lease_wait_hours * 3600,
    }


def in_turn(function: Callable[P, T]) -> Callable[P, PokeReturnValue]:
    """Of what begins a run, a sensor: it looks again later where another run holds the lease, and says which."""

    @functools.wraps(function)
    def look(*args: P.args, **kwargs: P.kwargs) -> PokeReturnValue:
        from airflow.sdk import PokeReturnValue, get_current_context
        from airflow.sdk.exceptions import AirflowSkipException

        from ..core.errors import BackupNotNeeded, LeaseHeld

        try:
            return PokeReturnValue(is_done=True, xcom_value=function(*args, **kwargs))
        except LeaseHeld as error:
            log.warning("waiting: %s", error)
            return PokeReturnValue(is_done=False)
        except BackupNotNeeded as error:
            get_current_context()["ti"].xcom_push(NOT_NEEDED, error.cause)
            raise AirflowSkipException(f"not needed: {error.cause}") from None

    return look
