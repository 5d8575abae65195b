"""What goes into the archives of a run."""

from __future__ import annotations

from typing import Any

from .workspace import Workspace


def proven(workspace: Workspace) -> dict[str, Any]:
    """What the snapshot staged, with what the leak check put in the place of some of it. Raises StepSkipped when either
    did not run, so that nothing gets on without a check."""
    staged, checked = workspace.record("snapshot"), workspace.record("anonymize")
    return {**staged, **checked.get("instead", {})}
