"""The search for personal data in what was staged: every table by a sample of its stored rows, a tree by its names."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ..anonymize.leaks import Finding, scan, scan_names
from ..anonymize.originals import Originals
from ..anonymize.sampling import READ_WHOLE, Gathered, Sample
from ..config.settings import TableSettings
from ..format.names import table_segment
from ..format.rows import read_texts
from ..format.tree_index import index_parts, read_names
from ..sources.kinds import has_form
from ..sources.port import ROW_IDENTITY, table_title
from .archives import PIECE
from .classifying import policy_of
from .members import unpacked
from .parallel import THREADS, run_all
from .samples import read_sample
from .wiring import Progress
from .workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

DEFINITIONS: Final = "definitions"
FILES: Final = "files"
"""What findings call what no policy changes: in ``files`` a ``path``, the ``target`` of a link, and ``xattrs``."""
_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]+")


def search_tables(
    workspace: Workspace,
    staged: Mapping[str, Any],
    settings: TableSettings,
    originals: Originals,
    finding: Finding,
    progress: Progress,
) -> int:
    """Adds what the staged tables show to the finding; returns how many parts and samples were looked at."""
    files = {member["name"]: member["file"] for member in staged["members"]}
    pairs = zip(staged["profile"]["tables"], staged["samples"], strict=True)
    tables = [
        _TableScan(table, _labels(settings, table), _parts(table, files), sampled, originals, finding)
        for table, sampled in pairs
    ]
    done = count(1)

    def look(table: _TableScan, name: str) -> None:
        with workspace.open_file(files[name]) as file:
            part = _whole(file)  # a part is bounded (format.rows), a table is not
        table.look(part, workspace.derived_key(f"sample {name}"))
        progress("anonymize", next(done), 0)

    def look_drawn(table: _TableScan, name: str) -> None:
        table.look_drawn(read_sample(workspace, name, table.rows))

    jobs = [partial(look, table, name) for table in tables for name in table.read]
    run_all([*jobs, *(partial(look_drawn, table, name) for table in tables for name in table.sampled)], THREADS)
    run_all([table.end for table in tables], THREADS)
    return next(done) - 1


def search_names(workspace: Workspace, staged: Mapping[str, Any], finding: Finding) -> int:
    """Adds what the names of a staged tree show, and what links and extended attributes say; returns how many members
    there are."""
    files = {member["name"]: member["file"] for member in staged["members"]}
    nothing = Originals(bytes(32))
    for name in index_parts(files):
        with workspace.open_file(files[name]) as file:
            part = _whole(file)  # bounded, as a table's part is
        for names in read_names(part, name):
            for what, values in names.items():
                finding.add(scan_names(f"{FILES}.{what}", values, nothing))
    return len(files)


def search_definitions(workspace: Workspace, staged: Mapping[str, Any], originals: Originals, finding: Finding) -> int:
    """Adds what the definitions of tables, views and functions show, by line; returns how many members there are."""
    members = [member for member in staged["members"] if member["name"].startswith("schema/")]
    for member in members:
        lines = _CONTROLS.split(unpacked(workspace, member))  # texts of pg_dump's archive are clear, and between bytes
        finding.add(scan_names(DEFINITIONS, lines, originals))
    return len(members)


def titles_of(table: Mapping[str, Any]) -> list[str]:
    """Of a table of the profile: its own, then those of what it is within."""
    own = table_title(table["schema"], table["name"], table["options"])
    return [own, *(table_title(schema, name, {}) for schema, name in table["within"])]


def root_of(table: Mapping[str, Any]) -> str:
    return titles_of(table)[-1]


def label_of(settings: TableSettings, table: Mapping[str, Any], column: str) -> str:
    """What findings call a column: by the table that its own is a part of, whose parts are judged together; but a part
    of which something else was decided by its own name is judged alone."""
    titles = titles_of(table)
    alone = policy_of(settings, titles, column) != policy_of(settings, titles[-1:], column)
    return f"{titles[0 if alone else -1]}.{column}"


def _labels(settings: TableSettings, table: Mapping[str, Any]) -> dict[str, str]:
    """What columns are called by their root > what findings call them."""
    names = [column["name"] for column in table["columns"]]
    return {f"{root_of(table)}.{name}": label_of(settings, table, name) for name in names}


def _parts(table: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The members with rows of a table, in whichever archive."""
    folder = f"data/{table_segment(table['schema'], table['name'])}/"
    return [name for name in names if name.startswith(folder)]


class _TableScan:
    """The search of one table. ``look`` is called for each of the parts to ``read`` and ``look_drawn`` for each of the
    files of its sample, in several threads, then ``end`` once."""

    _adding = Lock()  # to the finding, which all tables share

    def __init__(
        self,
        table: Mapping[str, Any],
        labels: Mapping[str, str],
        members: list[str],
        sampled: list[str],
        originals: Originals,
        finding: Finding,
    ) -> None:
        """``labels``: of its columns; ``members``: those with its rows, of all zones."""
        self._root, self._labels = root_of(table), labels
        self.rows: int = (table["change"] or table)["rows"]
        self.read = members
        self.sampled: list[str] = []
        if self.rows > READ_WHOLE and len(self.read) > 1:
            self.read, self.sampled = [secrets.choice(self.read)], sampled
        self._declared = {one["name"]: one["policy"] for one in table["columns"] if one["policy"] != "keep"}
        postgres = ROW_IDENTITY not in table["options"]
        self._formed = {one["name"] for one in table["columns"] if postgres and has_form(one["declared_type"])}
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
            for seen in scan(self._root, batch, self._originals, self._declared, self._formed):
                with self._adding:
                    self._finding.add(replace(seen, column=self._labels.get(seen.column, seen.column)))


def _whole(file: BinaryIO) -> BytesIO:
    """All that a file holds, in memory once."""
    held = BytesIO()
    shutil.copyfileobj(file, held, PIECE)
    held.seek(0)
    return held
