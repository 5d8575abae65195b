"""Every parser that reads what a stranger may have written (``tests.fuzz.target`` says how), by its name."""

from __future__ import annotations

from tests.fuzz import (  # noqa: F401  # they are TARGETS
    archive_targets,
    database_targets,
    document_targets,
    parquet_targets,
    text_targets,
)
from tests.fuzz.target import IDENTITIES, TARGETS, check

__all__ = ["IDENTITIES", "TARGETS", "check"]
