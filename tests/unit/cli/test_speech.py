"""How the command line speaks: JSON that parses, help with examples, colour and bars on terminals only."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from tests.support.world import World, run

from rlg_backup.cli.main import cli
from rlg_backup.cli.output import Output, fail, printable
from rlg_backup.core.errors import ObjectMissing
from rlg_backup.core.model import Check, Verdict

COMMAND = Path(sys.executable).with_name("rlg-backup")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.make(tmp_path_factory.mktemp("speech") / "world")
    world.back_up()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    return template.copy(tmp_path / "world")


def commands() -> Iterator[tuple[str, ...]]:
    for name, command in sorted(cli.commands.items()):
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in sorted(command.commands))
        else:
            yield (name,)


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_the_help_of_each_command_shows_its_options_and_an_example(words: tuple[str, ...]) -> None:
    done = run(*words, "--help")
    assert (done.code, done.err) == (0, "")
    assert "Options:" in done.out
    assert "--json" in done.out
    said = " ".join(done.out.split()).replace("rlg-backup --config /etc/rlg-backup/backup.yaml", "rlg-backup")
    assert re.search(rf"Examples?: rlg-backup {' '.join(words)}", said)


def test_the_help_shows_every_command_the_examples_and_the_exit_codes() -> None:
    done = run("--help")
    assert done.code == 0
    for name in cli.commands:
        assert re.search(rf"^  {name} ", done.out, re.MULTILINE)
    for line in ("0  PASS", "1  FAIL", "2  usage or configuration", "3  COULD-NOT-VERIFY", "rlg-backup init"):
        assert line in done.out
    assert run().code == 2


def test_every_command_prints_one_json_value_and_nothing_else(world: World, tmp_path: Path) -> None:
    backup_id = json.loads(world.run("list", "--json").out)[0]["backup_id"]
    out = tmp_path / "out.db"
    cases: dict[str, tuple[Sequence[str | Path], set[str]]] = {
        "backup": (
            ["backup"],
            {"source", "backup_id", "kind", "asked", "committed", "missing", "warnings", "seconds"},
        ),
        "list": (["list"], {"source", "backup_id", "kind", "time", "targets", "expires", "tiers"}),
        "show": (["show", backup_id], {"target", "sequence", "manifest", "expires", "chain", "fault"}),
        "verify": (["verify", backup_id, "--full"], {"source", "backup_id", "target", "verdict", "checks"}),
        "restore": (
            ["restore", backup_id, "--to", out],
            {
                "source",
                "backup_id",
                "target",
                "to",
                "fidelity",
                "rows",
                "entries",
                "checks",
                "warnings",
                "chain",
                "seconds",
                "erased",
                "verdict",
            },
        ),
        "expire": (
            ["expire", "--dry-run"],
            {
                "source",
                "target",
                "verdict",
                "dry_run",
                "restore_points",
                "certificates",
                "abandoned",
                "failures",
                "warnings",
            },
        ),
        "erase": (["erase"], {"verdict", "lengths", "passed_over", "entries"}),
        "hold": (
            ["hold", backup_id, "--reason", "a claim"],
            {"hold_id", "backup_id", "subject", "reason", "by", "since", "targets", "missing"},
        ),
        "doctor": (["doctor"], {"verdict", "checks"}),
        "init": (["init", "--folder", tmp_path / "new"], {"config", "keys", "public"}),
        "keys": (["keys", "generate", "signing"], {"kind", "file", "secret", "public"}),
    }
    for name, (arguments, keys) in cases.items():
        done = world.run(*arguments, "--json")
        assert (done.code, done.err) == (0, ""), name
        value = done.json[0] if isinstance(done.json, list) else done.json
        assert set(value) == keys, name
    for wrong in (["show", "nothing"], ["verify", "nothing"], ["restore", "nothing", "--to", str(tmp_path / "x")]):
        done = world.run(*wrong, "--json")
        assert (done.code, done.err, done.json["error"]) == (2, "", "BackupNotFound")
        assert set(done.json) == {"error", "message", "hint"}


def test_a_list_of_nothing_is_said_to_a_person_and_empty_to_a_machine(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    assert world.run("list").out == "no restore points yet\n"
    assert world.run("list", "--json").json == []


def test_piped_output_has_no_colour_no_bars_and_one_line_for_each_row(world: World) -> None:
    shown = world.run("show", "latest")
    assert "\x1b" not in shown.out + shown.err
    lines = shown.out.splitlines()
    [manifest] = [line for line in lines if line.startswith("manifest")]
    assert re.fullmatch(r"manifest +SHA-256 [0-9a-f]{64} *", manifest)
    assert len(lines) == 12
    done = world.run("backup")
    assert (done.err, "\x1b" in done.out) == ("", False)
    assert len(world.run("list").out.splitlines()) == 3


def test_on_a_terminal_there_are_colours_and_bars_and_only_there(world: World) -> None:
    shown = on_a_terminal(world, "backup")
    assert "\x1b[" in shown
    assert "snapshot people" in shown  # a bar's name
    assert "✓ PASS" in shown
    piped = subprocess.run(
        [COMMAND, "--config", world.config, "backup"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "\x1b" not in piped.stdout + piped.stderr
    assert "snapshot people" not in piped.stdout + piped.stderr


def test_colour_is_left_out_where_the_user_says_so(world: World) -> None:
    assert "\x1b[32" not in on_a_terminal(world, "list", NO_COLOR="1")


def on_a_terminal(world: World, *arguments: str, **environment: str) -> str:
    """What a command writes to a terminal of its own."""
    main, side = pty.openpty()
    names = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    child = subprocess.Popen(
        [COMMAND, "--config", world.config, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=side,
        stderr=side,
        env={**names, "TERM": "xterm-256color", "COLUMNS": "200", **environment},
    )
    os.close(side)
    data, deadline = b"", time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if select.select([main], [], [], 0.2)[0]:
                try:
                    piece = os.read(main, 65536)
                except OSError:  # the other side is closed
                    break
                if not piece:
                    break
                data += piece
            elif child.poll() is not None:
                break
        assert child.wait(10) == 0, data.decode()
    finally:
        child.kill()
        child.wait()
        os.close(main)
    return data.decode()


def test_text_for_people_is_never_markup_and_never_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False)
    evil = "[red]x[/red] \x1b[2J\x07\ud800 \N{RIGHT-TO-LEFT OVERRIDE}"
    output.say(evil)
    output.table(["A", "B"], [[evil, "[/]"]])
    output.checks([Check("[bold]", evil, Verdict.FAIL, "m")])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\x07" not in shown
    assert shown.count("[red]x[/red] \\x1b[2J\\x07\\ud800 \\u202e") == 3
    assert "[/]" in shown and "[bold] / " in shown


def test_a_name_between_colons_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """Paths and tables may be called anything; Rich makes ':key:' an emoji where nobody says otherwise."""
    Output(False).say("table a:key:b")
    fail(ObjectMissing("read", "x/:fire:", "it is not there"), False)
    written = capsys.readouterr()
    assert written.out == "table a:key:b\n"
    assert written.err == "error: unable to read 'x/:fire:': it is not there\n"


def test_printable_text_stays_as_it_is() -> None:
    text = "plain, ünïcode 😀 表\ttab\nline"
    assert printable(text) == text


def test_an_error_in_json_has_its_class_its_text_and_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    from rlg_backup.cli.output import fail

    assert fail(ObjectMissing("read", "k", "it is gone", "look elsewhere"), True) == 1
    assert json.loads(capsys.readouterr().out) == {
        "error": "ObjectMissing",
        "message": "unable to read 'k': it is gone",
        "hint": "look elsewhere",
    }
    assert fail(ObjectMissing("read", "k", "it is gone"), False) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "error: unable to read 'k': it is gone\n")


def test_a_reader_that_goes_away_ends_the_command_without_a_traceback(world: World) -> None:
    done = subprocess.run(
        f"'{COMMAND}' --config '{world.config}' show latest --json | head -c 1",
        shell=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
