"""What a request would mean for the newest backups, before it is recorded: none is taken back, and rules that do not
fit would stop every later restore. Backups are read where an identity is; nothing of their rows is kept or told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...config.settings import FilesSettings
from ...core.errors import BackupError, BackupNotFound, ErasureUndecided
from ...core.model import Verdict
from ...format.profile import Profile
from ...sources.port import ForeignKey
from ..archives import Archive, open_remote
from ..chains import chain_of
from ..layers import layered
from ..restore_points import Chosen, choose
from ..tree_contents import TreeContents
from ..wiring import Wiring
from .counts import TREE, Erased, title_of
from .plan import Match, Plan, plan
from .replay import Replay
from .subjects import Subjects, is_caseless_kind

NO_IDENTITY = "no identity is configured here, and a backup's tables are encrypted"


@dataclass(frozen=True)
class Trial:
    """Of one source: ``does`` says by table what becomes of whose rows, ``rows`` how many the table has; ``erased`` how
    many it would be, None where rows were not read. ``why`` not all was tried; empty where it was."""

    source: str
    backup_id: str | None = None
    does: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    erased: Erased | None = None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        return Verdict.COULD_NOT_VERIFY if self.why else Verdict.PASS

    def to_json(self) -> dict[str, Any]:
        counts = None if self.erased is None else {title: one.to_json() for title, one in self.erased.items()}
        shown = {"source": self.source, "backup_id": self.backup_id, "does": dict(self.does), "rows": dict(self.rows)}
        return {**shown, "erased": counts, "why": self.why}


def require_fitting(wiring: Wiring, kind: str) -> dict[str, str]:
    """Raises ErasureUndecided where the rules of a kind do not fit the newest backup of a source, as far as its profile
    tells. Returns why it could not be tried, by source."""
    trials = (_tried(wiring, kind, source, None) for source in wiring.settings.erasure.subjects[kind])
    return {one.source: one.why for one in trials if one.why}


def try_out(wiring: Wiring, kind: str, hashes: Mapping[str, Sequence[str]]) -> list[Trial]:
    """What would be left out of the newest backup of each source of a kind, for ``hashes`` of subjects by the id of
    their erasure key. The tables concerned are read whole. Raises as ``require_fitting``."""
    keys = {key.key_id: key for key in wiring.erasure_keys}
    found = [(keys[key_id], frozenset(some)) for key_id, some in hashes.items()]
    return [
        _tried(wiring, kind, source, Subjects(kind, found, caseless=is_caseless_kind(wiring, kind)))
        for source in wiring.settings.erasure.subjects[kind]
    ]


def _tried(wiring: Wiring, kind: str, source: str, asked: Subjects | None) -> Trial:
    """``asked`` is None where rows are not to be read."""
    if not wiring.settings.encryption.identities:
        return Trial(source, why=NO_IDENTITY)
    subjects = asked or Subjects(kind, [], caseless=is_caseless_kind(wiring, kind))
    replay = Replay(rules=tuple((subjects, rule) for rule in wiring.settings.erasure.subjects[kind][source]))
    done = Trial(source)
    try:
        chosen = choose(wiring, source, "latest")
        done = Trial(source, chosen.point.backup_id)
        archive = open_remote(wiring, chosen, wiring.identities(), everywhere=True)
        profile = archive.profile()
        if isinstance(wiring.source_settings(source), FilesSettings):
            does = {TREE: ", ".join(f"deleted: {text}" for _, rule in replay.rules for text in rule.files)}
            done = Trial(source, chosen.point.backup_id, does, {TREE: profile.tree.entries if profile.tree else 0})
            counts = None if asked is None else _of_tree(replay, chosen, archive, profile)
        else:
            planned = plan(replay.rules, profile, chosen.manifest.masked_columns)
            planned.require_decided(list(_references(profile)))
            done = Trial(source, chosen.point.backup_id, _told(planned, profile), _rows(planned, profile))
            counts = None if asked is None else _of_tables(wiring, replay, chosen, archive, profile)
    except BackupNotFound:
        return done  # nothing is there that a request could stop
    except ErasureUndecided:
        raise
    except BackupError as error:  # whether a request can be recorded does not hang on a backup
        return Trial(source, done.backup_id, done.does, done.rows, why=error.text)
    return Trial(source, done.backup_id, done.does, done.rows, counts)


def _of_tables(wiring: Wiring, replay: Replay, chosen: Chosen, archive: Archive, profile: Profile) -> Erased:
    before = chain_of(wiring, chosen)[:-1]
    opened = [open_remote(wiring, one, wiring.identities(), everywhere=True) for one in before]
    erasing = replay.tables(profile, chosen.manifest.masked_columns)
    secrets = wiring.tokenization_secrets
    chain = [*((one, one.profile()) for one in opened), (archive, profile)]
    for stage in erasing.stages(layered(chain), secrets):
        for one in stage:
            if (one.table.schema_name, one.table.name) in erasing.plan.matches:
                rows = (batch for layer, name in one.parts for batch in one.rows(layer, [name], secrets))
                for _ in erasing.rows(one.table, rows):
                    pass
    return erasing.erased


def _of_tree(replay: Replay, chosen: Chosen, archive: Archive, profile: Profile) -> Erased:
    erasing, contents = replay.tree(profile), TreeContents(chosen.point.backup_id, {chosen.point.backup_id: archive})
    erasing.look_ahead(contents.index())
    for row in contents.index():
        erasing.leaves_out(row)
    return erasing.erased


def _references(profile: Profile) -> Iterator[ForeignKey]:
    """The foreign keys of one column; those of several a restore finds."""
    for table in profile.tables:
        for rule in table.rules:
            if rule.kind == "reference":
                yield ForeignKey(title_of(table), rule.columns, rule.refers[0])


def _told(planned: Plan, profile: Profile) -> dict[str, str]:
    return {title: "; ".join(map(_what, matches)) for title, matches in _matches(planned, profile)}


def _rows(planned: Plan, profile: Profile) -> dict[str, int]:
    titles = dict(_matches(planned, profile))
    return {title_of(table): table.rows for table in profile.tables if title_of(table) in titles}


def _matches(planned: Plan, profile: Profile) -> Iterator[tuple[str, list[Match]]]:
    for table in profile.tables:
        if found := planned.matches.get((table.schema_name, table.name)):
            yield title_of(table), found


def _what(match: Match) -> str:
    if match.does.action == "delete":
        return f"deleted by {match.column}"
    return f"{', '.join(match.does.columns)} emptied by {match.column}"
