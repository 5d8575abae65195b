"""The demo platform: two databases (SQLite or PostgreSQL) and a file tree, made from a seed."""

from __future__ import annotations

from .generation import generate
from .mutation import mutate
from .outcome import Progress, Summary

__all__ = ["Progress", "Summary", "generate", "mutate"]
