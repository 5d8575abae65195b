"""A database as an object of its server: its owner, comment, rights and settings, which no dump of it alone has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from .faults import cause_of
from .schema_document import Database, Grant, Setting

if TYPE_CHECKING:
    import psycopg

_FACTS: Final = """
SELECT pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.shobj_description(d.oid, 'pg_database'), d.datconnlimit,
       d.datacl IS NULL
FROM pg_catalog.pg_database d WHERE d.datname = %s
"""
_GRANTS: Final = """
SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE d.datname = %s
"""
_SETTINGS: Final = """
SELECT CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole) END,
       pg_catalog.split_part(one, '=', 1), pg_catalog.substr(one, pg_catalog.strpos(one, '=') + 1)
FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase,
     pg_catalog.unnest(s.setconfig) WITH ORDINALITY c (one, place)
WHERE d.datname = %s ORDER BY 1 NULLS FIRST, place
"""
_LISTS: Final = frozenset(  # as pg_dump has it (variable_is_guc_list_quote)
    ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
)


def read_facts(connection: psycopg.Connection[Any], name: str) -> Database:
    """Those of the database ``name``, which may be another than the session's. Raises psycopg.Error."""
    owner, comment, limit, default = connection.execute(_FACTS, [name]).fetchall()[0]
    grants = None if default else tuple(Grant(*row) for row in connection.execute(_GRANTS, [name]))
    return Database(
        owner, comment, limit, grants, tuple(Setting(*row) for row in connection.execute(_SETTINGS, [name]))
    )


def apply_facts(connection: psycopg.Connection[Any], name: str, facts: Database) -> list[str]:
    """Gives all but the settings to a database of ours, in the transaction that is open; returns what could not be."""
    from psycopg import sql

    place = sql.Identifier(name)
    on = sql.SQL("ON DATABASE {}").format(place)
    told = []
    statements = [
        (
            f"its owner, {facts.owner}",
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(place, sql.Identifier(facts.owner)),
        ),
        ("its comment", sql.SQL("COMMENT {} IS {}").format(on, sql.Literal(facts.comment))),
        *_rights(on, facts),
    ]
    if facts.connection_limit >= 0:
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(place, sql.Literal(facts.connection_limit))
        statements.append(("its connection limit", limit))
    for what, statement in statements:
        told += _tried(connection, what, statement)
    return told


def _rights(on: Any, facts: Database) -> list[tuple[str, Any]]:
    """A database that is being built grants nothing to PUBLIC, and all to its owner."""
    from psycopg import sql

    if facts.grants is None:
        return [("its rights", sql.SQL("GRANT CONNECT, TEMPORARY {} TO PUBLIC").format(on))]
    taken = sql.SQL("REVOKE ALL {} FROM {}").format(on, sql.Identifier(facts.owner))
    statements = [("its rights", taken)]
    for grant in facts.grants:
        grantee = sql.Identifier(grant.grantee) if grant.grantee else sql.SQL("PUBLIC")
        option = sql.SQL(" WITH GRANT OPTION" if grant.grantable else "")
        privilege = sql.SQL(grant.privilege)  # one of the words that the document allows
        given = sql.SQL("GRANT {} {} TO {}{}").format(privilege, on, grantee, option)
        statements.append((f"the right {grant.privilege} of {grant.grantee or 'PUBLIC'}", given))
    return statements


def apply_settings(connection: psycopg.Connection[Any], name: str, settings: Sequence[Setting]) -> list[str]:
    """Sets parameters of a database of ours, outside of a transaction; returns those that could not be."""
    from psycopg import sql

    told = []
    for setting in settings:
        place = sql.SQL("DATABASE {}").format(sql.Identifier(name))
        if setting.role is not None:
            place = sql.SQL("ROLE {} IN {}").format(sql.Identifier(setting.role), place)
        parameter = sql.SQL(".").join(map(sql.Identifier, setting.name.split(".")))
        statement = sql.SQL("ALTER {} SET {} TO {}").format(place, parameter, sql.Literal(setting.value))
        if setting.name in _LISTS:  # its value is written as the server quotes a list: the server is to read it so too
            local = sql.SQL("SELECT pg_catalog.set_config({}, {}, true)").format(setting.name, setting.value)
            statement = sql.SQL("{}; ALTER {} SET {} FROM CURRENT").format(local, place, parameter)
        told += _tried(connection, f"its setting {setting.name}", statement)
    return told


def _tried(connection: psycopg.Connection[Any], what: str, statement: Any) -> list[str]:
    import psycopg

    try:
        with connection.transaction():  # a savepoint, where one is open
            connection.execute(statement)
    except psycopg.Error as error:
        if connection.broken:
            raise
        return [f"the database is not as it was: {what}: {cause_of(error)}"]
    return []
