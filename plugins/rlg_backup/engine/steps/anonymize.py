"""anonymize: proves on the staged members that the policies held; without its finding nothing is signed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from io import BytesIO
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

from ...anonymize.leaks import NO_TOKEN, Finding, Hit, scan, scan_names
from ...anonymize.originals import Originals
from ...anonymize.resolution import IRREVERSIBLE
from ...anonymize.sampling import READ_WHOLE, Gathered, Sample
from ...config.settings import TableSettings
from ...core.errors import LeakFound
from ...format.names import table_segment
from ...format.rows import read_texts
from ...format.tree_index import index_parts, read_paths
from ...sources.port import table_title
from ..archives import PIECE
from ..classifying import policy_of
from ..covering import cover
from ..heartbeat import heartbeat
from ..parallel import THREADS, run_all
from ..samples import read_sample
from ..warnings import tokenized
from ..wiring import Wiring
from ..workspace import Reference, Workspace
from .snapshot import ORIGINALS

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 5


def anonymize(wiring: Wiring, reference: Reference) -> Reference:
    """Look for original values of protected columns, and for personal data that no policy covers: in every staged part
    (at an even sample of its rows); of a large table in the sample that was drawn of what went into its parts, and in
    one part of it, which shows that the parts hold just that. A column with either is tokenized whole, or, where the
    configuration says so or that cannot be, the run ends with LeakFound; what is accepted by name, or rare, is a
    warning in the finding.

    A tree's contents are saved as they are; personal data in its file names is a warning.
    """
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    staged = workspace.record("snapshot")
    settings = wiring.source_settings(reference.source)
    files = {member["name"]: member["file"] for member in staged["members"]}
    with heartbeat(wiring, reference):
        if isinstance(settings, TableSettings):
            finding = Finding(allowed=_allowed(settings, staged["profile"]["tables"]))
            checked = _scan_tables(wiring, workspace, staged, files, finding)
            instead = _covered(wiring, workspace, staged, settings, finding)
        else:
            finding = Finding(allowed=frozenset({"files.path"}))
            checked = _scan_names(workspace, files, finding)
            instead = {}
    return workspace.put_record(
        "anonymize",
        {
            "checked_members": checked,
            "hits": 0,
            "undeclared": 0,
            "instead": instead,
            "warnings": [f"personal data: {hit}" for hit in finding.warnings],
        },
    )


def _covered(
    wiring: Wiring, workspace: Workspace, staged: Mapping[str, Any], settings: TableSettings, finding: Finding
) -> dict[str, Any]:
    """What goes in the place of what was staged, with columns that leak tokenized; nothing where none does."""
    found: list[Hit] = [*finding.hits, *finding.undeclared]
    if not found:
        return {}
    tables = staged["profile"]["tables"]
    columns = _to_cover(tables, found)
    covered = {f"{_root(tables[place])}.{name}" for place, names in columns.items() for name in names}
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


def _to_cover(tables: Sequence[Mapping[str, Any]], found: Sequence[Hit]) -> dict[int, dict[str, str]]:
    """The columns to tokenize, with the kind of data in them, by the place of their table; of all tables that the one a
    finding names is cut into. Not those whose values no key would bring back."""
    kinds = {hit.column: hit.kind for hit in reversed(found)}
    columns: dict[int, dict[str, str]] = {}
    for place, table in enumerate(tables):
        for column in table["columns"]:
            label = f"{_root(table)}.{column['name']}"
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


def _scan_tables(
    wiring: Wiring, workspace: Workspace, staged: dict[str, Any], files: dict[str, str], finding: Finding
) -> int:
    with workspace.open_file(ORIGINALS) as file:
        originals = Originals.from_bytes(file.read(), workspace.derived_key(ORIGINALS))
    pairs = zip(staged["profile"]["tables"], staged["samples"], strict=True)
    tables = [_TableScan(table, _parts(table, files), sampled, originals, finding) for table, sampled in pairs]
    done = count(1)

    def look(table: _TableScan, name: str) -> None:
        with workspace.open_file(files[name]) as file:
            part = _whole(file)  # a part is bounded (format.rows), a table is not
        table.look(part, workspace.derived_key(f"sample {name}"))
        wiring.progress("anonymize", next(done), 0)

    def look_drawn(table: _TableScan, name: str) -> None:
        table.look_drawn(read_sample(workspace, name, table.rows))

    jobs = [partial(look, table, name) for table in tables for name in table.read]
    run_all([*jobs, *(partial(look_drawn, table, name) for table in tables for name in table.sampled)], THREADS)
    run_all([table.end for table in tables], THREADS)
    return next(done) - 1


def _allowed(settings: TableSettings, tables: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The columns whose owner lets them hold personal data in clear, as findings name them."""
    kept = (
        f"{_root(table)}.{column['name']}"
        for table in tables
        for column in table["columns"]
        if policy_of(settings, _titles(table), column["name"]) == "keep"
    )
    return frozenset({*settings.personal_text_allowed, *kept})


def _parts(table: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The members with rows of a table, in whichever archive."""
    folder = f"data/{table_segment(table['schema'], table['name'])}/"
    return [name for name in names if name.startswith(folder)]


def _titles(table: Mapping[str, Any]) -> list[str]:
    """Of a table of the profile: its own, then those of what it is within."""
    own = table_title(table["schema"], table["name"], table["options"])
    return [own, *(table_title(schema, name, {}) for schema, name in table["within"])]


def _root(table: Mapping[str, Any]) -> str:
    return _titles(table)[-1]


class _TableScan:
    """The search of one table. ``look`` is called for each of the parts to ``read`` and ``look_drawn`` for each of the
    files of its sample, in several threads, then ``end`` once."""

    _adding = Lock()  # to the finding, which all tables share

    def __init__(
        self,
        table: Mapping[str, Any],
        members: list[str],
        sampled: list[str],
        originals: Originals,
        finding: Finding,
    ) -> None:
        """``members``: those with its rows, of all zones."""
        self._root = _root(table)
        self.rows: int = (table["change"] or table)["rows"]
        self.read = members
        self.sampled: list[str] = []
        if self.rows > READ_WHOLE and len(self.read) > 1:
            self.read, self.sampled = [secrets.choice(self.read)], sampled
        self._declared = {column["name"] for column in table["columns"] if column["policy"] != "keep"}
        self._originals, self._finding = originals, finding
        self._gathered, self._one = Gathered(), Lock()

    def look(self, part: BinaryIO, seed: bytes) -> None:
        """Takes the sample's share of a part."""
        self._take(read_texts(part, Sample(self.rows, seed).of))

    def look_drawn(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Takes a part of the sample that was drawn."""
        self._take(batches)

    def _take(self, batches: Iterable[pa.RecordBatch]) -> None:
        for batch in batches:
            with self._one:
                enough = list(self._gathered.add(batch))
            self._scan(enough)

    def end(self) -> None:
        """Looks at what was too little by itself."""
        self._scan(self._gathered.rest())

    def _scan(self, batches: Iterable[pa.RecordBatch]) -> None:
        for batch in batches:
            for column in scan(self._root, batch, self._originals, self._declared):
                with self._adding:
                    self._finding.add(column)


def _scan_names(workspace: Workspace, files: dict[str, str], finding: Finding) -> int:
    nothing = Originals(bytes(32))
    for name in index_parts(files):
        with workspace.open_file(files[name]) as file:
            part = _whole(file)  # bounded, as a table's part is
        for paths in read_paths(part, name):
            finding.add(scan_names("files.path", paths, nothing))
    return len(files)


def _whole(file: BinaryIO) -> BytesIO:
    """All that a file holds, in memory once."""
    held = BytesIO()
    shutil.copyfileobj(file, held, PIECE)
    held.seek(0)
    return held
