"""anonymize: proves on the staged members that the policies held; without its finding nothing is signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...anonymize.actions import Keep
from ...anonymize.leaks import NO_TOKEN, Finding, Hit
from ...anonymize.originals import Originals
from ...anonymize.resolution import IRREVERSIBLE
from ...config.settings import TableSettings
from ...core.errors import LeakFound
from ..classifying import policy_of
from ..covering import cover
from ..heartbeat import heartbeat
from ..leak_search import DEFINITIONS, FILES, label_of, search_definitions, search_names, search_tables, titles_of
from ..warnings import tokenized
from ..wiring import Wiring
from ..workspace import Reference, Workspace
from .snapshot import ORIGINALS

SHOWN = 5


def anonymize(wiring: Wiring, reference: Reference) -> Reference:
    """Look for original values of protected columns, and for personal data that no policy covers: in every staged part
    (at an even sample of its rows); of a large table in the sample that was drawn of what went into its parts, and in
    one part of it, which shows that the parts hold just that. A column with either is tokenized whole, or, where the
    configuration says so or that cannot be, the run ends with LeakFound; what is accepted by name, or rare, is a
    warning in the finding.

    A tree's contents are saved as they are, and so are a database's definitions; personal data in names of files, in
    what links and extended attributes say, and in definitions is a warning.
    """
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    staged = workspace.record("snapshot")
    settings = wiring.source_settings(reference.source)
    with heartbeat(wiring, reference):
        if isinstance(settings, TableSettings):
            finding = _finding(settings, staged["profile"]["tables"])
            originals = _originals(workspace)
            checked = search_tables(workspace, staged, settings, originals, finding, wiring.progress)
            checked += search_definitions(workspace, staged, originals, finding)
            instead = _covered(wiring, workspace, staged, settings, finding)
        else:
            finding = Finding(allowed=frozenset(f"{FILES}.{what}" for what in ("path", "target", "xattrs")))
            checked = search_names(workspace, staged, finding)
            instead = {}
    return workspace.put_record(
        "anonymize",
        {
            "checked_members": checked,
            "hits": 0,  # in what goes on: what had any was tokenized, or the run has ended
            "undeclared": 0,
            "instead": instead,
            "warnings": [f"personal data: {hit}" for hit in finding.warnings if hit.column not in _leaking(finding)],
        },
    )


def _leaking(finding: Finding) -> set[str]:
    return {hit.column for hit in (*finding.hits, *finding.undeclared)}


def _originals(workspace: Workspace) -> Originals:
    with workspace.open_file(ORIGINALS) as file:
        return Originals.from_bytes(file.read(), workspace.derived_key(ORIGINALS))


def _covered(
    wiring: Wiring, workspace: Workspace, staged: Mapping[str, Any], settings: TableSettings, finding: Finding
) -> dict[str, Any]:
    """What goes in the place of what was staged, with columns that leak tokenized; nothing where none does."""
    found: list[Hit] = [*finding.hits, *finding.undeclared]
    if not found:
        return {}
    tables = staged["profile"]["tables"]
    columns = _to_cover(settings, tables, found)
    covered = {label_of(settings, tables[place], name) for place, names in columns.items() for name in names}
    left = [hit for hit in found if hit.kind == NO_TOKEN or hit.column not in covered]
    if settings.on_leak == "fail" or wiring.tokenization_secret is None:
        left = found
    if left:
        raise _leak(workspace.reference, left)
    told: dict[str, list[str]] = {}
    for hit in found:
        told.setdefault(hit.column, []).append(hit.what)
    warnings = [tokenized(column, " and ".join(what)) for column, what in told.items()]
    return cover(wiring, workspace, staged, columns, warnings)


def _to_cover(
    settings: TableSettings, tables: Sequence[Mapping[str, Any]], found: Sequence[Hit]
) -> dict[int, dict[str, str]]:
    """The columns to tokenize, with the kind of data in them, by the place of their table; of all tables that the one a
    finding names is cut into. Not those whose values no key would bring back."""
    kinds = {hit.column: hit.kind for hit in reversed(found)}
    columns: dict[int, dict[str, str]] = {}
    for place, table in enumerate(tables):
        for column in table["columns"]:
            label = label_of(settings, table, column["name"])
            if label in kinds and column["policy"] not in IRREVERSIBLE:
                columns.setdefault(place, {})[column["name"]] = kinds[label]
    return columns


def _leak(reference: Reference, found: Sequence[Hit]) -> LeakFound:
    shown = "; ".join(str(hit) for hit in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return LeakFound(
        "go on with",
        f"{reference.run}/{reference.source}",
        f"staged columns hold personal data in clear: {shown}{more}",
        "give each a policy, or accept it by name in 'personal_text_allowed'; nothing was uploaded",
    )


def _finding(settings: TableSettings, tables: Sequence[Mapping[str, Any]]) -> Finding:
    """A finding that knows the columns whose owner lets them hold personal data in clear, and those without a way back,
    as it calls them."""
    allowed, for_ever = {DEFINITIONS}, set()
    for table in tables:
        for column in table["columns"]:
            label = label_of(settings, table, column["name"])
            if policy_of(settings, titles_of(table), column["name"]) == Keep.name:
                allowed.add(label)
            if column["policy"] in IRREVERSIBLE:
                for_ever.add(label)
    return Finding(allowed=frozenset(allowed), for_ever=frozenset(for_ever))
