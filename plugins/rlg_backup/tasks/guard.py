"""Decides retries by what went wrong: a passing fault is tried again, damage and misconfiguration never."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from ..core.errors import BackupError

P = ParamSpec("P")
T = TypeVar("T")

# No dagrun_timeout anywhere: it skips teardowns. Each task has its own limit.
STEP: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=6),
}
ONCE: dict[str, Any] = {"retries": 0, "execution_timeout": timedelta(minutes=15)}


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
