"""The one YAML file, with ``${VARIABLES}`` from the environment and ``.env``, as typed settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from ..core.errors import ConfigurationError, InvalidSetting, UnknownSetting, VariableMissing
from .explain import models_in, nearest_key
from .policies import MASKED_NAMES, NAMES
from .settings import Settings
from .strict_yaml import StrictLoader

MAX_BYTES = 1 << 20
_VARIABLE = re.compile(r"\$\$|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")
_TAGGED = ("sources", "targets")  # maps whose values are of the kind that their 'type' names
_POLICIES = ("policies", "dataset_policies", "masked")  # of a source: likewise, and the key is 'policy'


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; relative paths in them count from the folder of the file.

    ``${NAME}`` and ``${NAME:-default}`` are replaced in texts, ``$$`` stands for a dollar sign. As in a shell the
    default also stands in for an empty variable. The environment goes before ``.env``, which is looked for
    beside the file, then in the working folder.

    Raises ConfigurationError's subclasses, each naming the key.
    """
    file = path.expanduser().resolve()
    raw = _parse(file)
    if not isinstance(raw, dict):
        raise InvalidSetting("load", str(path), "the file does not hold a mapping of settings")
    known = variables(file.parent) if environment is None else {**_dotenv(file.parent), **environment}
    filled = _fill(raw, known, str(path), "")
    try:
        return Settings.model_validate(filled, context={"base": file.parent})
    except ValidationError as error:
        raise _explain(error, str(path)) from None


@lru_cache(maxsize=4)
def load_cached(path: Path, modified_ns: int) -> Settings:
    """``load`` once for each version of the file: DAG files are parsed again and again."""
    return load(path)


def _parse(file: Path) -> Any:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InvalidSetting("load", str(file), f"the file is larger than {MAX_BYTES} bytes")
        return yaml.load(data.decode("utf-8"), Loader=StrictLoader)  # noqa: S506  # a SafeLoader
    except FileNotFoundError:
        hint = "write one with 'rlg-backup init', or name one with --config FILE"
        raise ConfigurationError("load", str(file), "there is no such file", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("load", str(file), _reason(error)) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date or number that is none
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        problem = getattr(error, "problem", None) or "it is nested too deeply or not YAML"
        raise InvalidSetting("load", str(file), f"{problem}{place}") from None


def variables(folder: Path) -> dict[str, str]:
    """What ``${NAME}`` may name in a file of this folder: the environment, and ``.env`` for what it lacks."""
    return {**_dotenv(folder), **os.environ}


def _dotenv(folder: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    for candidate in (folder / ".env", Path.cwd() / ".env"):
        if candidate.is_file():
            try:
                found = dotenv_values(candidate, interpolate=False)
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError("load", str(candidate), _reason(error)) from None
            return {name: value for name, value in found.items() if value is not None}
    return {}


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror).lower() if strerror else "it is not UTF-8 text"


def _fill(value: Any, variables: Mapping[str, str], file: str, where: str) -> Any:
    if isinstance(value, dict):
        return {
            key: _fill(item, variables, file, f"{where}.{key}" if where else str(key)) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_fill(item, variables, file, f"{where}.{place}") for place, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match[1] is None or "${" in (match[2] or ""):
            hint = "write ${NAME} or ${NAME:-default}, where the default holds no variable; $$ stands for a dollar sign"
            raise InvalidSetting("load", where, f"in '{file}': a variable is not written as one", hint)
        found = variables.get(match[1])
        if not found and match[2] is not None:
            return match[2]
        if found is None:
            hint = f"set {match[1]} in the environment or in .env, or give a default: ${{{match[1]}:-...}}"
            raise VariableMissing("load", where, f"the variable {match[1]} of '{file}' is not set", hint)
        return found

    return _VARIABLE.sub(replace, value)


def _explain(error: ValidationError, file: str) -> ConfigurationError:
    """The first problem in the words of the file; pydantic's own text may echo values, so it is not used."""
    problems = error.errors(include_url=False, include_input=False)
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    place = _without_kinds([str(part) for part in problem["loc"]])
    dotted = ".".join(place)
    if problem["type"] == "extra_forbidden":
        near = nearest_key(place)
        hint = f"did you mean '{near}'?" if near else "docs/configuration.md lists every setting"
        return UnknownSetting("load", dotted, f"'{file}' has no such setting", hint)
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        if place[2:3] and place[2] in _POLICIES:
            names = MASKED_NAMES if place[2] == "masked" else NAMES
            return InvalidSetting("load", dotted, f"in '{file}': it names no policy: {', '.join(names)}")
        return InvalidSetting("load", f"{dotted}.type", f"in '{file}': it must be one of {_kinds(place[0])}")
    cause = str(problem["msg"]).removeprefix("Value error, ")
    return InvalidSetting("load", dotted or file, f"in '{file}': {cause}")


def _without_kinds(place: list[str]) -> list[str]:
    """The key as it stands in the file: pydantic says <map>.<name>.<kind>.<key>, with the kind it took a value for."""
    if place and place[0] in _TAGGED:
        place = place[:2] + place[3:]
        if place[2:3] and place[2] in _POLICIES:
            place = place[:4] + place[5:]
    return place


def _kinds(setting: str) -> str:
    annotation = Settings.model_fields[setting].annotation
    kinds = [str(get_args(model.model_fields["type"].annotation)[0]) for model in models_in(annotation)]
    return ", ".join(kinds)
