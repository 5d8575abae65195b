"""Great Expectations suites over a scratch database: ``run_suites``."""

from .run import run_suites

__all__ = ["run_suites"]
