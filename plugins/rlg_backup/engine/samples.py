"""The rows of large tables that are searched for personal data: drawn while they are staged, read back by the search.

Of what is handed to the writer of the members, columns with text only. Reading all parts again for a sample of their
rows took a sixth of a backup's processor time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from ..anonymize.sampling import READ_WHOLE, Drawing, thinned
from ..format.rows import with_text
from .workspace import Workspace

if TYPE_CHECKING:
    from typing import BinaryIO

KIND: Final = "sample"  # what its files are called in the workspace
_HELD = 1 << 20  # bytes, before a file is made for them


class Samples:
    """Makes the files of samples in a workspace, in any number of threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._numbers = workspace, count(1)

    def begin(self) -> SampleWriter:
        name = f"{KIND}-{next(self._numbers):06d}"
        return SampleWriter(self._workspace, name)


class SampleWriter:
    """The sample of one stream of a table's rows. Without a file where it comes to little, of a small table."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace, self._name = workspace, name
        self._drawing = Drawing(workspace.derived_key(f"draw {name}"))
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._stack = ExitStack()
        self._file: BinaryIO | None = None

    def add(self, batch: pa.RecordBatch, so_far: int) -> None:
        """Draws from stored rows. ``so_far``: the table's, of all streams, with these."""
        drawn = self._drawing.of(batch.select(with_text(batch.schema)), so_far)
        self._held.append(drawn)
        self._bytes += drawn.nbytes
        if self._bytes > _HELD:
            self._write()

    def close(self, rows: int, *, alone: bool) -> list[str]:
        """Ends it; its file, if it has one: not where the table had all its ``rows`` in this stream ``alone`` and no
        more than READ_WHOLE of them."""
        if self._file is None and alone and rows <= READ_WHOLE:
            return []
        self._write()
        self._stack.close()
        return [self._name]

    def _write(self) -> None:
        if self._file is None:
            self._file = self._stack.enter_context(self._workspace.create_file(self._name))
        held, self._held, self._bytes = self._held, [], 0
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)  # which a limit may refuse
        while held:
            schema = held[0].schema
            with pa.ipc.new_stream(self._file, schema, options=options) as stream:
                while held and held[0].schema.equals(schema, check_metadata=True):
                    stream.write_batch(held.pop(0))


def read_sample(workspace: Workspace, name: str, rows: int) -> Iterator[pa.RecordBatch]:
    """The sample that lies in a file, for a table of so many rows."""
    with workspace.open_file(name) as raw:
        file = io.BufferedReader(raw)  # type: ignore[type-var]
        while file.peek(1):
            with pa.ipc.open_stream(file, options=pa.ipc.IpcReadOptions(use_threads=False)) as stream:
                for batch in stream:
                    yield thinned(batch, rows)
