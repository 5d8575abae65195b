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

from ...anonymize.leaks import Finding, Hit, scan, scan_names
from ...anonymize.originals import Originals
from ...anonymize.sampling import READ_WHOLE, Gathered, Sample
from ...config.settings import TableSettings
from ...core.errors import LeakFound
from ...format.names import table_segment
from ...format.rows import read_texts
from ...format.tree_index import index_parts, read_paths
from ...sources.port import table_title
from ..archives import PIECE
from ..classifying import policy_of
from ..heartbeat import heartbeat
from ..parallel import THREADS, run_all
from ..samples import read_sample
from ..wiring import Wiring
from ..workspace import Reference, Workspace
from .snapshot import ORIGINALS

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 5


def anonymize(wiring: Wiring, reference: Reference) -> Reference:
    """Look for original values of protected columns, and for personal data that no policy covers: in every staged part
    (at an even sample of its rows); of a large table in the sample that was drawn of what went into its parts, and in
    one part of it, which shows that the parts hold just that. Either is LeakFound; what is accepted by name, or rare,
    is a warning in the finding.

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
        else:
            finding = Finding(allowed=frozenset({"files.path"}))
            checked = _scan_names(workspace, files, finding)
    _require_clean(reference, finding)
    return workspace.put_record(
        "anonymize",
        {
            "checked_members": checked,
            "hits": len(finding.hits),
            "undeclared": len(finding.undeclared),
            "warnings": [f"personal data: {hit}" for hit in finding.warnings],
        },
    )


def _require_clean(reference: Reference, finding: Finding) -> None:
    found: list[Hit] = [*finding.hits, *finding.undeclared]
    if found:
        shown = "; ".join(str(hit) for hit in found[:SHOWN])
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise LeakFound(
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
    titles = [[_title(table), *_titles_above(table)] for table in tables]
    kept = (
        f"{above[-1]}.{column['name']}"
        for table, above in zip(tables, titles, strict=True)
        for column in table["columns"]
        if policy_of(settings, above, column["name"]) == "keep"
    )
    return frozenset({*settings.personal_text_allowed, *kept})


def _parts(table: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The members with rows of a table, in whichever archive."""
    folder = f"data/{table_segment(table['schema'], table['name'])}/"
    return [name for name in names if name.startswith(folder)]


def _title(table: Mapping[str, Any]) -> str:
    return table_title(table["schema"], table["name"], table["options"])


def _titles_above(table: Mapping[str, Any]) -> list[str]:
    return [table_title(schema, name, {}) for schema, name in table["within"]]


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
        self._root = [_title(table), *_titles_above(table)][-1]
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
