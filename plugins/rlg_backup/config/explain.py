"""Finds the setting a misspelt key was meant to be."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence

from pydantic import BaseModel

from .settings import Settings


def nearest_key(location: Sequence[str]) -> str | None:
    """The closest name among the settings that may stand at ``location``; None when nothing is near."""
    models: list[type[BaseModel]] = [Settings]
    for part in location[:-1]:
        models = [inner for model in models for inner in _inside(model, part)] or models
    names = sorted({name for model in models for name in model.model_fields})
    near = difflib.get_close_matches(location[-1], names, n=1, cutoff=0.6)
    return near[0] if near else None


def _inside(model: type[BaseModel], part: str) -> list[type[BaseModel]]:
    field = model.model_fields.get(part)
    return models_in(field.annotation) if field else []


def models_in(annotation: object) -> list[type[BaseModel]]:
    """Every model that a value of the annotated type may be, or may hold."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in typing.get_args(annotation) for model in models_in(argument)]
