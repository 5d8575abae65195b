"""What is erased from a restored copy for a request: whose rows and files they are, by source."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from .fields import Name, Reference, Strict, Texts

KEY = "{key}"  # in a pattern of paths: where the subject's key stands
Action = Literal["delete", "anonymize"]


class Erased(Strict):
    """What becomes of rows: they are deleted, or their ``columns`` are emptied."""

    action: Action = "delete"
    columns: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_what(self) -> Erased:
        if bool(self.columns) != (self.action == "anonymize"):
            raise ValueError("'columns' are what 'action: anonymize' empties: name both or neither")
        return self


class ErasedChild(Erased):
    """The rows of a table that belong to erased rows of the table ``of`` (the subjects' own unless given): whose column
    ``through`` holds those rows' ``key`` (their primary key unless given). ``optional``: not every backup has it."""

    through: str
    of: str | None = None
    key: str | None = None
    optional: bool = False

    @property
    def only_refers(self) -> bool:
        """Whether the rows are somebody else's, and lose nothing but what they refer to: what belongs to them stays."""
        return self.columns == (self.through,)


def _listed(value: object) -> object:
    return [value] if isinstance(value, dict) else value


Links = Annotated[tuple[ErasedChild, ...], BeforeValidator(_listed), Field(min_length=1)]


class ErasureRule(Erased):
    """Where a source holds a subject: the rows of ``table`` with the subject's key in ``column``, and those of other
    ``tables`` that belong to them, one way or several; or, in a tree, what lies at the paths ``files``.
    ``optional``: not every backup has the table, and another rule of the kind has one that it has."""

    table: str | None = None
    column: str | None = None
    optional: bool = False
    tables: dict[str, Links] = Field(default={})
    files: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> ErasureRule:
        rows = self.table is not None and self.column is not None
        if rows == bool(self.files) or (self.files and (self.table or self.column or self.tables)):
            raise ValueError("name a table and its column, or files")
        for pattern in self.files:
            if pattern.count(KEY) != 1 or not _is_path(pattern):
                raise ValueError(f"'{pattern}' is not a relative path with one {KEY}, and no * in the same name")
        return self

    @model_validator(mode="after")
    def _leads_to_the_subject(self) -> ErasureRule:
        root, reached = self.table or "", {self.table}
        for _ in self.tables:
            for name, links in self.tables.items():
                others = [link.of or root for link in links if (link.of or root) != name]
                reached |= {name} if others and all(other in reached for other in others) else set()
        unknown = {name for name, links in self.tables.items() if any((o.of or root) not in reached for o in links)}
        if lost := sorted(unknown | self.tables.keys() - reached):
            raise ValueError(f"'tables.{lost[0]}' does not lead to the table '{root}'")
        for name, links in self.tables.items():
            if not all(link.only_refers for link in links if name in (root, link.of or root)):
                cause = "rows that refer to erased ones are of others: empty that column alone"
                raise ValueError(f"'tables.{name}': {cause}")
        return self


def _is_path(pattern: str) -> bool:
    """A ``*`` beside the key would leave open where the key ends."""
    parts = pattern.split("/")
    return all(part == "**" or not ("**" in part or ("*" in part and KEY in part)) for part in parts) and not (
        {"", ".", ".."} & set(parts)
    )


Rules = Annotated[tuple[ErasureRule, ...], BeforeValidator(_listed), Field(min_length=1)]


class Erasure(Strict):
    """``key`` hashes subjects; entries under ``old_keys`` are still found. ``trusted``: who signs requests, and nothing
    else, in place of ``signing.trusted``. ``subjects``: kind > source > where it holds
    them; several rules where a table had another name once, or several hold them. ``queue``: of the task that records a
    request. ``normalise``, by kind: in an e-mail address case does not count."""

    key: Reference | None = None
    old_keys: Texts = ()
    trusted: Texts = ()
    queue: str = "backup"
    normalise: dict[Name, Literal["none", "email"]] = Field(default={})
    subjects: dict[Name, dict[Name, Rules]] = Field(default={})

    @model_validator(mode="after")
    def _normalises_what_there_is(self) -> Erasure:
        if unknown := sorted(self.normalise.keys() - self.subjects.keys()):
            raise ValueError(f"'normalise.{unknown[0]}': 'subjects' has no such kind")
        return self


def path_expression(pattern: str) -> re.Pattern[str]:
    """A pattern of paths as one of texts that begin with a slash, the subject's key its one group. ``*`` is any text
    within a name, ``**`` any names, none too: at the end it is also the folder itself."""
    found = ""
    for part in pattern.split("/"):
        words = re.split(r"(\{key\}|\*)", part)
        name = "".join({KEY: "([^/]+)", "*": "[^/]*"}.get(word, re.escape(word)) for word in words)
        found += "(?:/[^/]+)*" if part == "**" else f"/{name}"
    return re.compile(found, re.DOTALL)
