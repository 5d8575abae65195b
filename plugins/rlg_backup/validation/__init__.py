"""Great Expectations suites over a scratch database: ``run_suites``; ``sqlite_url`` names a file for it."""

from .run import run_suites
from .scratch import sqlite_url

__all__ = ["run_suites", "sqlite_url"]
