"""The demo platform: two SQLite databases and a file tree, made from a seed."""

from __future__ import annotations

from .generation import generate
from .mutation import mutate
from .outcome import Progress, Summary

__all__ = ["Progress", "Summary", "generate", "mutate"]
