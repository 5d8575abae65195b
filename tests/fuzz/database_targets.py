"""Parsers of the schemas of databases, and of connections to them."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pyarrow as pa
from tests.fuzz.target import file_of, target

from rlg_backup.config.connections import connection_in
from rlg_backup.sources import sqlite_schema
from rlg_backup.sources.port import Column, Table, TableSource
from rlg_backup.sources.postgres import schema_document
from rlg_backup.sources.sqlite import SqliteSource
from rlg_backup.sources.sqlite_destination import SqliteDestination


def schemas() -> list[bytes]:
    with file_of(b"", "app.db") as path:
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "CREATE TABLE p (id INTEGER PRIMARY KEY, v TEXT)",
            "CREATE TABLE k (a TEXT COLLATE NOCASE, b, PRIMARY KEY (b DESC, a)) WITHOUT ROWID",
            "CREATE TABLE g (a, s AS (a + 1) STORED, r REFERENCES p)",
            "CREATE UNIQUE INDEX u ON p (v) WHERE id > 0",
            "CREATE INDEX x ON k (length(a))",
            "CREATE VIEW w AS SELECT * FROM p",
            "CREATE TRIGGER t AFTER INSERT ON p BEGIN DELETE FROM p; END",
        ):
            connection.execute(statement)
        connection.close()
        with SqliteSource(path).snapshot() as snapshot:
            return [snapshot.schema_files()["sqlite.json"]]


BATCHES = {
    "p": pa.RecordBatch.from_pydict({"id": [2, 1], "v": ["x", None]}),
    "k": pa.RecordBatch.from_pydict({"a": ["a", "B"], "b": [1, 2]}),
    "g": pa.RecordBatch.from_pydict({"a": [1], "r": pa.nulls(1)}),
}


@target("sqlite_schema", schemas, json=True)
def schema(data: bytes) -> object:
    """Parsed, and the database it tells made, filled and read, as a restore does. Nothing may be left beside it."""
    files = {"sqlite.json": data}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "restored.db"
        try:
            with SqliteDestination(place) as destination:
                destination.prepare(files)
                for table in sqlite_schema.load(files).layouts:
                    if table in BATCHES:
                        columns = tuple(Column(name, "") for name in BATCHES[table].schema.names)
                        destination.load(Table("main", table, columns, ""), [BATCHES[table]])
                destination.finish(_read)
        finally:
            assert sorted(path.name for path in Path(folder).iterdir()) in ([], ["restored.db"])
    return True


def _read(built: TableSource) -> None:
    with built.snapshot() as snapshot:
        for table in snapshot.tables:
            for batch in snapshot.read(table):
                batch.validate(full=True)


def postgres_documents() -> list[bytes]:
    grants = (schema_document.Grant("", "CONNECT"), schema_document.Grant("reader", "CONNECT", True))
    whole = schema_document.SchemaDocument(
        server_version=180_004,
        dumped_by=180_004,
        locale=schema_document.Locale("UTF8", "b", "C", "C", "C.UTF-8"),
        database=schema_document.Database(
            "owner", "a comment", 7, grants, (schema_document.Setting(None, "a.b", "c"),)
        ),
        extensions=(schema_document.Extension("plpgsql", "pg_catalog", "1.0"),),
        roles=("owner", "reader"),
        sequences=(schema_document.SequenceState("public", "s", -(2**63), True),),
        large_objects=(schema_document.LargeObject(2**32 - 1, "owner", None, None),),
    )
    return [schema_document.dump(whole)]


@target("postgres_schema", postgres_documents, json=True)
def postgres_schema(data: bytes) -> object:
    """What is taken is what would be written of it."""
    found = schema_document.load({schema_document.MEMBER: data, schema_document.DEFINITIONS: b""})
    assert (
        schema_document.load({schema_document.MEMBER: schema_document.dump(found), schema_document.DEFINITIONS: b""})
        == found
    )
    return found


def connections() -> list[bytes]:
    uris = ["postgres://u:p%40ss@h:5432/db?sslmode=require", "postgres://%2Ftmp%2Fsocket/db", "sqlite:///x"]
    return [uri.encode() for uri in uris] + [b'{"conn_type": "postgres", "host": "h", "port": "5432", "extra": "{}"}']


@target("connection", connections)
def connection(data: bytes) -> object:
    """A variable holds text; whatever it is, nothing but our error comes out."""
    return connection_in({"AIRFLOW_CONN_X": data.decode("utf-8", "surrogateescape")}, "x") or "none"
