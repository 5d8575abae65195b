"""One scratch database under Great Expectations: the only module that knows that library.

The library takes 10 s to import and logs a flood, so it is imported by the first session, silenced,
with its analytics off. Its errors carry SQL and values: only what ``_missing`` recognises leaves here.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import InvalidSetting, ValidationUnavailable
from .document import near
from .references import Relation
from .scratch import connection_string, prepare
from .shorthand import SQL_CHECK, Expectation

_SILENT = logging.CRITICAL + 1
_MISSING = re.compile(
    r"no such (?P<kind>table|column): (?P<name>[\w.]+)"  # SQLite
    r"|(?P<pg_kind>relation|column) \"?(?P<pg_name>[\w.]+)\"? does not exist"  # PostgreSQL
    r"|The column \"(?P<gx_name>[\w.]+)\" in BatchData does not exist"  # Great Expectations
)


class CheckBroken(Exception):
    """A check could not be run; the text says why and holds no value. Ends in COULD-NOT-VERIFY."""


@dataclass(frozen=True)
class Outcome:
    """What a check found: counts where the expectation has them. ``observed`` is set for counts only."""

    success: bool
    unexpected: int | None
    considered: int | None
    observed: int | None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The library prints and warns; a run's output is for the run."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _library() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    for name in ("great_expectations", "alembic.runtime.plugins"):
        logging.getLogger(name).setLevel(_SILENT)
    try:
        with _quiet():
            import great_expectations
            from great_expectations import expectations  # noqa: F401  # registers the expectation types
    except ImportError:
        hint = "install the requirements of the restore workers"
        raise ValidationUnavailable("run", "suites", "great_expectations is not installed", hint) from None
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("great_expectations.") and isinstance(logger, logging.Logger) and logger.level:
            logger.setLevel(_SILENT)  # one of its modules sets a level of its own
    return great_expectations


class Session:
    """An open scratch database with its reference tables. Nothing is written to the database itself."""

    def __init__(self, url: str, relations: Iterable[Relation], views: Mapping[str, str]) -> None:
        """Opens ``url``; raises InvalidSetting for a URL that is none or a name that is taken there,
        ValidationUnavailable when the database cannot be opened."""
        import sqlalchemy as sa

        place, address = connection_string(url)
        library = _library()
        relations = tuple(relations)
        self._assets: dict[str, Any] = {}
        self._rows: dict[str, int] = {}
        try:
            with _quiet():
                context = library.get_context(mode="ephemeral")
                context.variables.progress_bars = {"globally": False}
                add = context.data_sources.add_sqlite if place.is_sqlite else context.data_sources.add_sql
                self._source = add("scratch", connection_string=address)
                self._engine = self._source.get_execution_engine()
                with self._source.get_engine().connect() as connection:
                    inspector = sa.inspect(connection)
                    self.tables = frozenset((*inspector.get_table_names(), *inspector.get_view_names()))
        except Exception as error:  # the library raises its own, the driver's and SQLAlchemy's
            raise ValidationUnavailable("open", place.name, f"the database refuses ({type(error).__name__})") from None
        for name in (*(relation.name for relation in relations), *views):
            if name in self.tables:
                raise InvalidSetting("validate", place.name, f"the database has a table '{name}' of its own")
        engine = self._engine.engine
        # A connection that the pool made before this line has no reference tables: it goes.
        sa.event.listen(engine, "connect", lambda raw, _: prepare(raw, engine.dialect, relations, views))
        engine.dispose()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._source.get_engine().dispose()

    def count(self, query: str) -> int:
        """The one number that ``query`` selects; raises CheckBroken."""
        import sqlalchemy as sa

        try:
            with self._engine.get_connection() as connection:
                return int(connection.execute(sa.text(query)).scalar_one())
        except (sa.exc.SQLAlchemyError, TypeError, ValueError) as error:
            raise CheckBroken(_reason([str(error)])) from None

    def rows(self, table: str) -> int:
        """Rows of a table, counted once; raises CheckBroken."""
        if table not in self.tables:
            raise CheckBroken(f"the table '{table}' is missing")
        if table not in self._rows:
            name = self._engine.engine.dialect.identifier_preparer.quote_identifier(table)
            self._rows[table] = self.count(f"SELECT COUNT(*) FROM {name}")  # noqa: S608  # quoted by the dialect
        return self._rows[table]

    def build(self, expectation: Expectation, suite: str) -> Any:
        """The library's own object; raises InvalidSetting for a type or argument it does not know."""
        from great_expectations.exceptions.exceptions import ExpectationNotFoundError
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
        from great_expectations.expectations.registry import list_registered_expectation_implementations

        subject = f"{suite}: {expectation.description}"
        try:
            with _quiet():
                found = ExpectationConfiguration(type=expectation.type, kwargs=dict(expectation.kwargs))
                return found.to_domain_obj()
        except ExpectationNotFoundError:
            hint = near(expectation.type, list_registered_expectation_implementations())
            raise InvalidSetting("read suite", subject, f"there is no type '{expectation.type}'", hint) from None
        except (ValueError, TypeError) as error:  # pydantic's, whose own text may echo values
            raise InvalidSetting("read suite", subject, *_argument(error, expectation)) from None

    def validate(self, table: str, built: Any) -> Outcome:
        """Runs one check over the whole table; raises CheckBroken when it could not be evaluated."""
        try:
            with _quiet():
                if table not in self._assets:
                    asset = self._source.add_table_asset(table, table_name=table)
                    self._assets[table] = asset.add_batch_definition_whole_table("whole").get_batch()
                quiet = {"result_format": "BASIC", "partial_unexpected_count": 0}  # counts, no values
                found = self._assets[table].validate(built, result_format=quiet)
        except Exception as error:  # the library's own classes share no root, and carry SQL and values
            raise CheckBroken(_reason([str(error)])) from None
        if messages := list(_messages(found.exception_info)):
            raise CheckBroken(_reason(messages))
        result = found.result or {}
        observed = result.get("observed_value")
        kind = built.expectation_type
        countable = isinstance(observed, int) and kind.startswith("expect_table_")
        elements = result.get("element_count")
        return Outcome(
            success=bool(found.success),
            unexpected=observed if kind == SQL_CHECK else result.get("unexpected_count"),
            considered=None if elements is None else elements - result.get("missing_count", 0),
            observed=observed if countable else None,
        )


def _messages(info: Any) -> Iterator[str]:
    """The messages of an ``exception_info``, which is one record or a mapping of records."""
    if not isinstance(info, dict):
        return
    records = [info] if "raised_exception" in info else list(info.values())
    for record in records:
        if isinstance(record, dict) and record.get("raised_exception"):
            yield str(record.get("exception_message"))


def _reason(messages: Iterable[str]) -> str:
    for message in messages:
        if found := _MISSING.search(message):
            kind = "table" if (found["kind"] or found["pg_kind"]) in ("table", "relation") else "column"
            return f"the {kind} '{found['name'] or found['pg_name'] or found['gx_name']}' is missing"
    return "the database could not evaluate it"


def _argument(error: Exception, expectation: Expectation) -> tuple[str, str | None]:
    """Which argument of the expectation is wrong, in words without its value."""
    from great_expectations.expectations.registry import get_expectation_impl

    problems = error.errors() if hasattr(error, "errors") else []
    known = get_expectation_impl(expectation.type).__fields__
    for problem in problems:
        if problem["type"] == "value_error.extra":
            return f"'{expectation.type}' has no argument '{problem['loc'][0]}'", near(str(problem["loc"][0]), known)
    if problems:
        return f"'{expectation.type}' refuses its argument '{problems[0]['loc'][0]}'", None
    return f"'{expectation.type}' refuses its arguments", None
