"""Every setting there is, typed. A key that is not here is refused (docs/configuration.md explains each)."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from ..core.model import LEVELS, Kind
from .erasure import Erasure
from .fields import Name, Place, Reference, Strict, Texts
from .policies import MaskedForm, Policy
from .residency import BASE, Residency, require_residence
from .retention import Retention
from .targets import Target


class Encryption(Strict):
    """Who can open archives. ``identities`` are set on restore workers only."""

    recipients: Texts = ()
    identities: Texts = ()


class ChangeState(Strict):
    """Who reads what a backup notes for the next one: backup workers, by an identity that opens no archive."""

    recipients: Annotated[Texts, Field(min_length=1)]
    identities: Texts = ()


class Signing(Strict):
    """``key`` signs (backup workers); ``trusted`` are the public halves everybody checks with."""

    key: Reference | None = None
    trusted: Texts = ()


class Tokenization(Strict):
    """``key`` makes tokens; ``old_keys`` are those before it, for restores of what was made with them."""

    key: Reference | None = None
    old_keys: Texts = ()


class Staging(Strict):
    """Where a run works. ``shared``: every step is a task, on workers that see the same folder;
    ``local``: the steps of one source run in one task, on whichever worker takes it."""

    folder: Place
    key: Reference
    mode: Literal["shared", "local"] = "shared"


class GeographyLevel(Strict):
    table: str
    key: str
    parent: str | None = None


class TableGeography(Strict):
    """Where a row belongs: a column for a level, or a foreign key to a table that knows."""

    region: str | None = None
    country: str | None = None
    city: str | None = None
    town: str | None = None
    through: str | None = None
    of: str | None = None
    key: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> TableGeography:
        if bool(self.through) != bool(self.of):
            raise ValueError("'through' (a column) and 'of' (a table) go together")
        if not (self.through or self.region or self.country or self.city or self.town):
            raise ValueError("name a column for region, country, city or town, or 'through' and 'of'")
        return self

    @property
    def columns(self) -> frozenset[str]:
        """Those of the table itself that say where a row belongs."""
        return frozenset(filter(None, (self.region, self.country, self.city, self.town, self.through)))


class GeographySettings(Strict):
    levels: dict[Literal["region", "country", "city", "town"], GeographyLevel] = {}
    tables: dict[str, TableGeography] = {}

    def finest_of(self, table: str) -> str | None:
        """The finest level that a table tells of its rows; None where its way leads nowhere, which its source tells."""
        passed: set[str] = set()
        while table in self.tables and table not in passed:
            passed.add(table)
            here = self.tables[table]
            if here.of is None:
                return next((level for level in reversed(LEVELS) if getattr(here, level)), None)
            table = here.of
        return next((name for name, level in self.levels.items() if level.table == table), None)


class _Source(Strict):
    """``zone``: of rows that no zone names, and of files; unless given they may be of any, and lie where all may."""

    targets: tuple[str, ...]
    zone: Name | None = None
    queue: str = "backup"
    pool: str = "rlg_backup"
    exclude: tuple[str, ...] = ()
    names_in_clear: bool = False


class TableSettings(_Source):
    """A database. Tables outside its ordinary schema are named ``schema.table``. ``policies`` are of columns,
    ``dataset_policies`` of a dataset's columns that no pattern names; ``masked`` is what becomes of columns in a masked
    copy. ``invariants`` are patterns of columns that suites check as they do geography and totals: no policy changes
    those for ever, but in the columns that ``allow_breaking`` names."""

    datasets: dict[Name, tuple[str, ...]] = {}
    geography: GeographySettings | None = None
    placeless: tuple[str, ...] = ()
    totals: dict[str, tuple[str, ...]] = {}
    policies: dict[str, Policy] = {}
    dataset_policies: dict[Name, Policy] = {}
    masked: dict[str, MaskedForm] = {}
    invariants: tuple[str, ...] = ()
    allow_breaking: tuple[str, ...] = ()
    personal_text_allowed: tuple[str, ...] = ()
    classes: dict[str, Literal["personal", "geography", "money", "plain"]] = {}
    unclassified: Literal["tokenize", "fail"] = "tokenize"
    on_leak: Literal["tokenize", "fail"] = "tokenize"


class SqliteSettings(TableSettings):
    """A SQLite database. Without ``path`` it is taken from the Airflow connection ``rlg_<source>``. Of ``append_only``
    tables, whose rows are never changed, an incremental backup reads the keys and the new rows."""

    type: Literal["sqlite"]
    path: Place | None = None
    append_only: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _not_summed(self) -> SqliteSettings:
        if both := sorted(set(self.append_only) & set(self.totals)):
            raise ValueError(f"the table '{both[0]}' has totals, for which all rows are read: it cannot be append_only")
        return self


class PostgresSettings(TableSettings):
    """A PostgreSQL database, reached by the Airflow connection ``connection`` (``rlg_<source>`` unless given), which
    outside Airflow is the variable ``AIRFLOW_CONN_<ID>``. ``database`` stands in for the connection's own."""

    type: Literal["postgres"]
    connection: str | None = None
    database: str | None = None
    readers: int = Field(default=2, ge=1, le=64)
    lock_wait_seconds: int = Field(default=30, ge=1, le=3600)
    snapshot_warning_minutes: int = Field(default=60, ge=1)


class FilesSettings(_Source):
    """A file tree. Without ``path`` it is taken from the Airflow connection ``rlg_<source>``. ``trust_times: false``
    reads every file for an incremental backup too: for file systems whose times do not tell every change."""

    type: Literal["files"]
    path: Place | None = None
    trust_times: bool = True


SourceSettings = Annotated[SqliteSettings | PostgresSettings | FilesSettings, Field(discriminator="type")]


class Schedule(Strict):
    """Cron expressions in the time zone of the settings; ``none`` for by hand only. A scheduled incremental backup is
    skipped where a full one was committed at most ``full_covers_hours`` before."""

    full: str = "0 2 * * 0"
    incremental: str = "0 2 * * *"
    differential: str = "none"
    drill: str = "0 4 1 * *"
    retention: str = "0 6 * * *"
    replicate: str = "0 1 * * *"
    scrub: str = "0 8 * * 6"
    full_covers_hours: int = Field(default=12, ge=0, le=7 * 24)


class Retries(Strict):
    """How often Airflow tries a step again after a fault that may pass, and the first wait; each wait doubles."""

    times: int = Field(default=3, ge=0, le=100)
    wait_seconds: int = Field(default=30, ge=0, le=15 * 60)


class Alerts(Strict):
    """Who hears of a run that failed. Connections: ``rlg_alert_smtp``, ``rlg_alert_slack``, ``rlg_alert_webhook``."""

    email_from: str = "rlg-backup@localhost"
    email_to: Texts = ()


class ScratchServer(Strict):
    """The connection to a PostgreSQL server on which a drill makes databases and drops them: not one that holds live
    data, and a role with CREATEDB."""

    connection: str


class Drill(Strict):
    """``suites``: source > folder of expectation suites below ``expectations``."""

    scratch: Place
    reports: Place
    expectations: Place | None = None
    references: Place | None = None
    suites: dict[str, str] = {}
    identities: Texts = ()
    postgres: ScratchServer | None = None


class SecretsBackend(Strict):
    """An Airflow secrets backend only restore workers reach: ``secret:NAME/KEY`` reads its variable KEY."""

    backend: str
    kwargs: dict[str, str | int | bool | None] = {}


class Settings(Strict):
    """The whole configuration."""

    version: Literal[1]
    timezone: str = "UTC"
    staging: Staging
    state: Place
    encryption: Encryption
    change_state: ChangeState | None = None  # without it every backup is a full one
    signing: Signing
    tokenization: Tokenization = Tokenization()
    erasure: Erasure = Erasure()
    targets: dict[Name, Target]
    sources: dict[Name, SourceSettings]
    schedule: Schedule = Schedule()
    retention: Retention = Retention()
    residency: Residency = Residency()
    retries: Retries = Retries()
    alerts: Alerts = Alerts()
    drill: Drill | None = None
    secrets: dict[Name, SecretsBackend] = {}
    restore_queue: str = "restore"
    restore_folders: tuple[Place, ...] = ()
    restore_connections: Texts = ()
    missing_roles: Literal["fail", "report"] = "fail"
    lease_minutes: int = Field(default=60, ge=1, le=24 * 60)
    scrub_turns: int = Field(default=4, ge=1, le=52)
    lease_wait_hours: int = Field(default=12, ge=0, le=7 * 24)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("there is no such time zone") from None
        return value

    @model_validator(mode="after")
    def _state_is_apart(self) -> Settings:
        opening = {*self.encryption.identities, *(self.drill.identities if self.drill else ())}
        if self.change_state is None:
            return self
        if set(self.change_state.recipients) & set(self.encryption.recipients):
            raise ValueError("a recipient of 'change_state' is one of 'encryption', too: whose identity opens archives")
        if opening & set(self.change_state.identities):
            raise ValueError("an identity of 'change_state' is one of 'encryption' or 'drill', which opens archives")
        return self

    def _require_an_end(self, name: str, source: SourceSettings) -> None:
        for target in source.targets:
            rules = self.retention.rules(name, target)
            endless = [kind for kind in Kind if rules.age(kind).endless]
            if endless and self.targets[target].lock != "none":
                kept = f"the source '{name}' keeps {endless[0]} backups forever"
                raise ValueError(f"{kept}, which no lock of the target '{target}' can: give a time")

    def zone_of_archive(self, source: str, zone: str) -> str:
        """The zone whose rules hold for an archive of a source: of the one that is always there, the source's own."""
        return self.sources[source].zone or BASE if zone == BASE and source in self.sources else zone

    def layout(self, source: str) -> str | None:
        """SHA-256 of what decides in which archive a row of a source lies; None where there are no zones."""
        if not self.residency.zones:
            return None
        zones = {name: zone.model_dump(exclude={"jurisdictions"}) for name, zone in self.residency.zones.items()}
        own = self.sources[source].model_dump(mode="json", include={"zone", "geography"})
        return hashlib.sha256(json.dumps([zones, own], sort_keys=True).encode()).hexdigest()

    def may_hold(self, target: str, source: str, zone: str) -> bool:
        """Whether a target may hold the archive of a zone of a source."""
        return self.residency.may_lie(self.targets[target].jurisdiction, self.zone_of_archive(source, zone))

    @model_validator(mode="after")
    def _erasures_have_sources(self) -> Settings:
        for kind, places in self.erasure.subjects.items():
            for name, rules in places.items():
                source = self.sources.get(name)
                if source is None:
                    raise ValueError(f"'erasure.subjects.{kind}' names the source '{name}', which there is not")
                if any(bool(rule.files) != isinstance(source, FilesSettings) for rule in rules):
                    raise ValueError(f"'erasure.subjects.{kind}.{name}': files are of trees, tables of databases")
        return self

    @model_validator(mode="after")
    def _names_agree(self) -> Settings:
        if not self.sources:
            raise ValueError("there is no source")
        for name, source in self.sources.items():
            if not source.targets:
                raise ValueError(f"the source '{name}' has no target")
            if unknown := [target for target in source.targets if target not in self.targets]:
                raise ValueError(f"the source '{name}' names the target '{unknown[0]}', which 'targets' does not have")
            self._require_an_end(name, source)
            require_residence(self, name, source)
        if extra := sorted(set(self.retention.sources) - set(self.sources)):
            raise ValueError(f"'retention.sources' names the source '{extra[0]}', which 'sources' does not have")
        if extra := sorted(set(self.retention.targets) - set(self.targets)):
            raise ValueError(f"'retention.targets' names the target '{extra[0]}', which 'targets' does not have")
        if self.drill and (extra := sorted(set(self.drill.suites) - set(self.sources))):
            raise ValueError(f"'drill.suites' names the source '{extra[0]}', which 'sources' does not have")
        return self
