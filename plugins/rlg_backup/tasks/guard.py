"""Decides retries by what went wrong: a passing fault is tried again, damage and misconfiguration never."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..core.errors import BackupError

if TYPE_CHECKING:
    from ..config.settings import Retries

P = ParamSpec("P")
T = TypeVar("T")

ONCE: dict[str, Any] = {"retries": 0, "execution_timeout": timedelta(minutes=15)}


def step(retries: Retries) -> dict[str, Any]:
    """What every step is given. No dagrun_timeout anywhere, for it skips teardowns: each task has its own limit."""
    return {
        "retries": retries.times,
        "retry_delay": timedelta(seconds=retries.wait_seconds),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=15),
        "execution_timeout": timedelta(hours=6),
    }


def guarded(function: Callable[P, T]) -> Callable[P, T]:
    """Ends a task for good, without a traceback of ours, when trying again cannot help."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        from airflow.sdk.exceptions import AirflowFailException

        try:
            return function(*args, **kwargs)
        except BackupError as error:
            if error.transient:
                raise
            raise AirflowFailException(f"{type(error).__name__}: {error}") from None

    return run
