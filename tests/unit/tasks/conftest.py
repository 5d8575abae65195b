"""Sets Airflow's environment before a test imports it."""

from __future__ import annotations

from tests.support import airflow_home

assert airflow_home.HOME.is_dir()
