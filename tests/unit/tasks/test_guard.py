"""guard decides by the class of an error whether a task is tried again."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.support import airflow_home  # noqa: F401  # before airflow

from rlg_backup.config.settings import Retries
from rlg_backup.core import errors
from rlg_backup.core.errors import BackupError, ObjectDamaged, StorageUnavailable
from rlg_backup.tasks.guard import ONCE, guarded, step

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BackupError)]
TRANSIENT = {
    "SourceChanged",
    "SourceUnavailable",
    "DestinationUnavailable",
    "StorageUnavailable",
    "LeaseHeld",
    "ResourceExhausted",
    "ErasureIncomplete",
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_only_a_fault_that_may_pass_by_itself_is_left_to_be_tried_again(kind: type[BackupError]) -> None:
    given = kind("read", "a", "b")

    @guarded
    def failing() -> None:
        raise given

    if kind.__name__ in TRANSIENT:
        with pytest.raises(kind) as passed:
            failing()
        assert passed.value is given
    else:
        with pytest.raises(AirflowFailException) as ended:
            failing()
        assert str(ended.value) == f"{kind.__name__}: unable to read 'a': b"
        assert ended.value.__suppress_context__  # no traceback of ours under it


def test_the_hint_is_kept_on_a_line_of_its_own() -> None:
    @guarded
    def failing() -> None:
        raise ObjectDamaged("read", "a", "b", "repair it")

    with pytest.raises(AirflowFailException) as ended:
        failing()
    assert str(ended.value) == "ObjectDamaged: unable to read 'a': b\nhint: repair it"


def test_an_error_that_is_not_ours_is_not_touched() -> None:
    """A fault of the program, or Airflow's own signals: Airflow knows what to do with them."""

    @guarded
    def failing() -> None:
        raise ZeroDivisionError("x")

    with pytest.raises(ZeroDivisionError):
        failing()


def test_arguments_results_name_and_docstring_go_through() -> None:
    @guarded
    def double(value: int, *, plus: int = 0) -> int:
        """Doubles."""
        return 2 * value + plus

    assert (double(4, plus=1), double.__name__, double.__doc__) == (9, "double", "Doubles.")


def test_a_step_has_retries_that_outlast_a_short_outage_and_every_task_a_limit() -> None:
    assert StorageUnavailable.transient
    given = step(Retries())
    pauses = [given["retry_delay"] * given["retry_exponential_backoff"] ** n for n in range(given["retries"])]
    assert sum(pause.total_seconds() for pause in pauses) == 210
    assert (ONCE["retries"], "execution_timeout" in given, "execution_timeout" in ONCE) == (0, True, True)


def test_how_often_and_how_long_after_a_step_is_tried_again_is_a_setting() -> None:
    given = step(Retries(times=5, wait_seconds=7))
    assert (given["retries"], given["retry_delay"].total_seconds()) == (5, 7)
