"""When a row that lies where it lay, with the xmin it had, is the same row.

A row version of a heap never moves but by a rewrite of the table (VACUUM FULL, CLUSTER, TRUNCATE, ALTER TABLE), which
gives the table another file; and no row is ever made with the xmin of a transaction that is over. So within one file,
(ctid, xmin) names one row version for as long as transaction ids do not come round, which a distance below 2^31 says.
Rows that were frozen keep the id of a round before: where one of these is that of a transaction since, a row is taken
for new (``row_addresses.made_again``).
What xmin does not show is content that changes by catalog: an enumeration's value renamed, a composite's attribute
dropped. That is in the identity, with the table's OID and every type of its columns, down to the base types (PostgreSQL
documentation: System Columns; Routine Vacuuming; pg_class.relfilenode).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import SourceUnavailable

if TYPE_CHECKING:
    import psycopg

    from .address import Address

_USED: Final = """
WITH RECURSIVE used (relation, type) AS (
    SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT u.relation, n.type FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.type
    CROSS JOIN LATERAL (
        SELECT t.typelem WHERE t.typelem <> 0
        UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                  WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) n (type)
)
SELECT relation, array_agg(type ORDER BY type) FROM used GROUP BY relation
"""
_TYPES: Final = """
SELECT t.oid, t.typtype::text, t.typoutput::oid::int8, p.proname, x.extname, x.extversion,
       (SELECT array_agg(e.oid || ':' || e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e
        WHERE e.enumtypid = t.oid),
       (SELECT array_agg(concat_ws(':', a.attnum, a.atttypid, a.atttypmod, a.attisdropped, a.attname) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0)
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_proc p ON p.oid = t.typoutput
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.objsubid = 0
     AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
WHERE t.oid = ANY (%s)
"""
_COLUMNS: Final = """
SELECT a.attrelid, array_agg(concat_ws(':', a.attnum, a.atttypid, a.atttypmod, a.attgenerated,
                                       coalesce(a.attmissingval::text, ''), a.attname) ORDER BY a.attnum)
FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid
"""
_FILES: Final = """
SELECT c.oid, pg_catalog.pg_relation_filenode(c.oid)::int8 FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_am m ON m.oid = c.relam WHERE c.oid = ANY (%s) AND m.amname = 'heap'
"""
_NAMES_OBJECTS: Final = frozenset((24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, 1033))
"""OIDs of the types whose text is an object's name: regproc and its like, aclitem. A renaming changes it, no row."""
_SYSTEM: Final = 16384  # OIDs below are the system's
_POSITION: Final = """
SELECT c.timeline_id::text, extract(epoch FROM c.checkpoint_time)::int8::text,
       pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text,
       pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                                  ELSE pg_catalog.pg_current_wal_insert_lsn() END, '0/0')::text,
       (pg_catalog.current_setting('server_version_num')::int / 10000)::text,
       pg_catalog.pg_postmaster_start_time()::text
FROM pg_catalog.pg_control_checkpoint() c
"""
_FLUSHED: Final = """
SELECT pg_catalog.pg_is_in_recovery()
       OR pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0') >= %s::numeric
"""
_PATIENCE: Final = 60.0  # seconds; the server's writer of the log is called every 0.2 s
_COMES_ROUND: Final = 2**31


def identities(connection: psycopg.Connection[Any], oids: Sequence[int]) -> dict[int, tuple[str, str | None]]:
    """For each relation what it is, as a text, and where its rows lie: None where an address does not tell that a row
    is unchanged. The relations are locked, so that neither changes any more."""
    used = dict(connection.execute(_USED, [list(oids)]).fetchall())
    kinds = sorted({kind for types in used.values() for kind in types})
    types = {row[0]: row for row in connection.execute(_TYPES, [kinds])}
    columns = dict(connection.execute(_COLUMNS, [list(oids)]).fetchall())
    files = dict(connection.execute(_FILES, [list(oids)]).fetchall())
    found: dict[int, tuple[str, str | None]] = {}
    for oid in oids:
        mine = [types[kind] for kind in used.get(oid, ())]
        told = oid in files and columns.get(oid) is not None and not any(map(_may_change, mine))
        found[oid] = (json.dumps([oid, columns.get(oid), mine]), f"heap:{files[oid]}" if told else None)
    return found


def _may_change(kind: Any) -> bool:
    """Whether values of a type may be written otherwise although no row changes: they name objects, or a function that
    somebody wrote makes their text."""
    oid, sort, _, output, extension, *_ = kind
    own = oid >= _SYSTEM and sort == "b" and extension is None and output not in ("array_out",)
    return oid in _NAMES_OBJECTS or own


def position(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Where the server stands: its timeline, last checkpoint, oldest open and next transaction, write-ahead log, major
    version, and when it was started."""
    names = ("timeline", "checkpoint", "oldest", "transaction", "log", "version", "started")
    return dict(zip(names, connection.execute(_POSITION).fetchall()[0], strict=True))


def wait_until_kept(address: Address, position: Mapping[str, str]) -> None:
    """Waits until the log is on disk up to a position: what a snapshot saw before is then never lost in a crash, after
    which the ids of its transactions would be given to others.

    What reading itself writes there (pages that it tidies) waits for somebody's commit, for some 20 s on an idle
    server: so one is made, which changes nothing and takes one transaction id. Raises SourceUnavailable when it takes a
    minute.
    """
    give_up = time.monotonic() + _PATIENCE
    with address.connected() as session:
        if not session.execute(_FLUSHED, [position["log"]]).fetchall()[0][0]:
            session.execute("BEGIN READ WRITE")
            session.execute("SELECT pg_catalog.pg_current_xact_id()")
            session.execute("COMMIT")
        while not session.execute(_FLUSHED, [position["log"]]).fetchall()[0][0]:
            if time.monotonic() > give_up:
                cause = "the server does not write its log to disk"
                raise SourceUnavailable("read", str(address), cause, "look at its disk")
            time.sleep(0.02)


def why_unrelated(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Why the server did not simply go on from ``before``; None if it did."""
    if before.keys() != now.keys():
        return "another release noted where the server stood at the backup before"
    if before["version"] != now["version"]:
        return "the server is of another version than at the backup before"
    if before["timeline"] != now["timeline"]:
        return "the server's timeline changed since the backup before: it was restored, or another took its place"
    for name in ("checkpoint", "transaction", "log"):
        if int(now[name]) < int(before[name]):
            return "the server went back in time since the backup before"
    if int(now["transaction"]) - int(before["transaction"]) >= _COMES_ROUND:
        return "too many transactions passed since the backup before: their numbers come round"
    return None
