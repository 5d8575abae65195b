"""Retention: which restore points of a source stay on a target, which go, and how they go."""

from .execution import Outcome, expire
from .holds import hold, list_holds, note_drill, note_drills, release, undo
from .planning import Action, Decision

__all__ = [
    "Action",
    "Decision",
    "Outcome",
    "expire",
    "hold",
    "list_holds",
    "note_drill",
    "note_drills",
    "release",
    "undo",
]
