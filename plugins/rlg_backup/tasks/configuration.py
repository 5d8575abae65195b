"""The one YAML file that the DAG files read when they are parsed: local, cached, no network."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.load import load_cached
from ..core.errors import ConfigurationError

if TYPE_CHECKING:
    from ..config.settings import Settings

VARIABLE = "RLG_BACKUP_CONFIG"


def config_path() -> Path:
    """``$RLG_BACKUP_CONFIG``, or ``include/config/backup.yaml`` of the project that plugins/ lies in."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else Path(__file__).parents[3] / "include" / "config" / "backup.yaml"


def settings() -> Settings:
    """The settings; a wrong file is an error that names the key, which Airflow shows as an import error."""
    path = config_path()
    try:
        modified = path.stat().st_mtime_ns
    except OSError as error:
        hint = f"set {VARIABLE}, or write include/config/backup.yaml"
        raise ConfigurationError("load", str(path), error.strerror or "it cannot be read", hint) from None
    return load_cached(path, modified)


def scheduled(settings: Settings, expression: str) -> dict[str, Any]:
    """What a DAG is given that runs by a schedule of the settings (``none``: by hand only), one run at a time."""
    from airflow.sdk import CronTriggerTimetable

    timetable = None if expression == "none" else CronTriggerTimetable(expression, timezone=settings.timezone)
    return {
        "schedule": timetable,
        "max_active_runs": 1,
        "allowed_run_types": ["scheduled", "manual"],  # no backfills: yesterday cannot be backed up
        "tags": ["rlg-backup"],
    }


def run_name(run_id: str) -> str:
    """A run's id as a folder name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", run_id)
