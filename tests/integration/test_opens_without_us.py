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
    assert world.run("backup").code == 0
    (archive,) = (tmp_path / "world").glob("**/default.zip.age")
    escrow = next((tmp_path / "world" / "keys" / "escrow").iterdir())
    plain = tmp_path / "archive.zip"
    subprocess.run(["age", "-d", "-i", escrow, "-o", plain, archive], check=True)
    subprocess.run(["unzip", "-q", "-t", plain], check=True)
    folder = tmp_path / "opened"
    subprocess.run(["unzip", "-q", plain, "-d", folder], check=True)
    return world, folder


def test_stock_age_and_unzip_open_an_archive_and_any_parquet_reader_reads_its_rows(opened: tuple[World, Path]) -> None:
    world, folder = opened
    table = pq.read_table(folder / "data" / "main.people" / "part-00000.parquet")
    with sqlite3.connect(world.root / "app.db") as source:
        ids = [row[0] for row in source.execute("SELECT id FROM people ORDER BY id")]
    assert sorted(table.column("id").to_pylist()) == ids


def test_the_decoder_in_the_readme_turns_tokens_back_with_the_key_alone(
    opened: tuple[World, Path], tmp_path: Path
) -> None:
    world, folder = opened
    readme = (folder / "README.txt").read_text()
    program = tmp_path / "decode.py"
    program.write_text(readme[readme.index("# Usage: python decode.py") :])
    tokens = pq.read_table(folder / "data" / "main.people" / "part-00000.parquet").column("email").to_pylist()
    key = world.root / "keys" / "shared" / "tokenization.key"
    lines = "\n".join(token.hex() for token in tokens)
    done = subprocess.run([sys.executable, "-I", program, key], input=lines, capture_output=True, text=True, check=True)
    with sqlite3.connect(world.root / "app.db") as source:
        emails = {row[0] for row in source.execute("SELECT email FROM people")}
    assert {line.strip("'") for line in done.stdout.splitlines()} == emails
