"""An archive opens with stock tools alone: age, unzip, a Parquet reader, and the decoder in its README.txt."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.support.world import World
from tests.support.zoned_world import change, zoned_world

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not (shutil.which("age") and shutil.which("unzip")),
        reason="REQUIRED-IN-CI: age or unzip is missing (apt-get install age unzip)",
    ),
]


@pytest.fixture
def opened(tmp_path: Path) -> tuple[World, Path]:
    """A tokenized backup, decrypted with the escrow identity and unpacked, by stock programs only."""
    world = World.make(tmp_path / "world")
    world.source["policies"] = {"people.email": "tokenize", "people.phone": "tokenize"}
    world.save()
    return world, unpacked(world, world.back_up())


def unpacked(world: World, backup_id: str, *, target: str = "local", zone: str = "default") -> Path:
    archive = world.target(target) / "app" / backup_id / f"{zone}.zip.age"
    escrow = next((world.root / "keys" / "escrow").iterdir())
    folder = world.root.parent / (backup_id if zone == "default" else f"{backup_id}.{zone}")
    plain = folder.with_name(f"{folder.name}.zip")
    subprocess.run(["age", "-d", "-i", escrow, "-o", plain, archive], check=True)
    subprocess.run(["unzip", "-q", "-t", plain], check=True)
    subprocess.run(["unzip", "-q", plain, "-d", folder], check=True)
    return folder


def program(folder: Path, name: str, until: str | None = None) -> Path:
    """One of the programs that the README prints, as a file."""
    text = (folder / "README.txt").read_text()
    text = text[text.index(f"# Usage: python {name}") :]
    place = folder.parent / name
    place.write_text(text[: text.index(until)] if until else text)
    return place


def test_stock_age_and_unzip_open_an_archive_and_any_parquet_reader_reads_its_rows(opened: tuple[World, Path]) -> None:
    world, folder = opened
    table = pq.read_table(folder / "data" / "main.people" / "part-00000.parquet")
    with sqlite3.connect(world.root / "app.db") as source:
        ids = [row[0] for row in source.execute("SELECT id FROM people ORDER BY id")]
    assert sorted(table.column("id").to_pylist()) == ids


def test_the_decoder_in_the_readme_turns_tokens_back_with_the_key_alone(
    opened: tuple[World, Path],
) -> None:
    world, folder = opened
    decoder = program(folder, "decode.py", "# Usage: python merge.py")
    tokens = pq.read_table(folder / "data" / "main.people" / "part-00000.parquet").column("email").to_pylist()
    key = world.root / "keys" / "shared" / "tokenization.key"
    lines = "\n".join(token.hex() for token in tokens)
    done = subprocess.run([sys.executable, "-I", decoder, key], input=lines, capture_output=True, text=True, check=True)
    with sqlite3.connect(world.root / "app.db") as source:
        emails = {row[0] for row in source.execute("SELECT email FROM people")}
    assert {line.strip("'") for line in done.stdout.splitlines()} == emails


def test_the_program_in_the_readme_puts_a_table_together_over_a_chain(opened: tuple[World, Path]) -> None:
    """Of every class of value, with tokens, rows that are equal, and some that came, went and came back."""
    world, _ = opened
    with sqlite3.connect(world.root / "app.db") as source:
        source.execute("CREATE TABLE mixed (v, w TEXT)")
        values = [None, 1, -(2**63), 2.5, -0.0, "text", b"\x00\xff", "\u00e4"]
        source.executemany(
            "INSERT INTO mixed VALUES (?, ?)", [(value, str(place)) for place, value in enumerate(values)]
        )
    folders = [unpacked(world, world.back_up(kind="full"))]
    for statement in (
        "UPDATE people SET email = 'new@example.org' WHERE id = 1; DELETE FROM mixed WHERE w IN ('1', '3', '5')",
        "UPDATE people SET phone = NULL; INSERT INTO mixed SELECT * FROM mixed; INSERT INTO mixed VALUES (1, '1')",
    ):
        with sqlite3.connect(world.root / "app.db") as source:
            source.executescript(statement)
        folders.append(unpacked(world, world.back_up(kind="incremental")))
    program(folders[-1], "decode.py", "# Usage: python merge.py")
    merger, key = program(folders[-1], "merge.py"), world.root / "keys" / "shared" / "tokenization.key"
    for table, columns in (("people", "*"), ("mixed", "rowid, *")):
        command = [sys.executable, merger, f"main.{table}", *folders, f"--key={key}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        with sqlite3.connect(world.root / "app.db") as source:
            rows = source.execute(f"SELECT {columns} FROM {table}").fetchall()
        assert sorted(done.stdout.splitlines()) == sorted(ascii(row) for row in rows)


def test_the_program_in_the_readme_takes_rows_of_zones_that_were_unpacked_and_tells_of_the_others(
    tmp_path: Path,
) -> None:
    world = zoned_world(tmp_path / "world")
    full = world.back_up()
    change(world, "DELETE FROM accounts WHERE note = 'hippopotamus'; INSERT INTO accounts VALUES (9, 'IL', 'zebra')")
    last = world.back_up(kind="incremental")
    folders = [unpacked(world, backup_id, target="eu") for backup_id in (full, last)]
    for backup_id in (full, last):
        unpacked(world, backup_id, target="il", zone="israel")
    program(folders[-1], "decode.py", "# Usage: python merge.py")
    command = [sys.executable, program(folders[-1], "merge.py"), "main.accounts", *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == f"{full}: without 1 rows of the zone europe\n"
    with sqlite3.connect(world.root / "app.db") as source:
        rows = source.execute("SELECT * FROM accounts WHERE country IS NOT 'DE'").fetchall()
    assert sorted(done.stdout.splitlines()) == sorted(ascii(row) for row in rows)
