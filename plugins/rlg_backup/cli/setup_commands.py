"""init and demo: the first minutes with the tool."""

from __future__ import annotations

from dataclasses import asdict
from importlib import resources
from pathlib import Path

import click

from ..core.errors import DestinationUnsuitable
from .keys_commands import CUSTODY, make, write_key
from .output import Output, progress_bar

KEY_FILES = {
    "signing": "backup-worker/signing.key",
    "staging": "backup-worker/staging.key",
    "state": "backup-worker/state.txt",
    "tokenization": "shared/tokenization.key",
    "erasure": "shared/erasure.key",
    "identity": "restore-worker/identity.txt",
    "escrow": "escrow/identity.txt",
}


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), show_default="here")
@click.option("--post-quantum", is_flag=True, help="Recipients that hold against quantum computers; by hand age 1.3.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def init(folder: Path, post_quantum: bool, as_json: bool) -> int:
    """Write a commented backup.yaml, and keys with their custody explained.

    Nothing is written over. Example: rlg-backup init --folder /etc/rlg-backup
    """
    output, file = Output(as_json), folder / "backup.yaml"
    if file.exists():
        raise DestinationUnsuitable("write", str(file), "there is a configuration already")
    public = write_keys(folder / "keys", post_quantum)
    template = resources.files("rlg_backup.cli").joinpath("backup.template.yaml").read_text("utf-8")
    for name, value in public.items():
        template = template.replace(f"<{name}>", value)
    try:
        with file.open("x", encoding="utf-8") as sink:
            sink.write(template)
    except OSError as error:
        raise DestinationUnsuitable("write", str(file), (error.strerror or "the system refuses").lower()) from None
    output.say(f"wrote {file}: name your sources in it, then run 'rlg-backup --config {file} doctor'")
    for what, place in KEY_FILES.items():
        output.say(f"  keys/{place}", "bold")
        output.say(f"    {CUSTODY[what]}")
    output.say(
        "Move keys/escrow off this machine today. Without an identity nobody, we included, opens a backup.", "yellow"
    )
    output.data(
        {
            "config": str(file),
            "keys": {what: str(folder / "keys" / p) for what, p in KEY_FILES.items()},
            "public": public,
        }
    )
    return 0


def write_keys(folder: Path, post_quantum: bool = False) -> dict[str, str]:
    """Every key a set-up needs, each in its holder's folder; returns the public halves by key kind."""
    public = {}
    for what, place in KEY_FILES.items():
        secret, half = make(what, post_quantum)
        write_key(folder / place, what, secret, half)
        if half:
            public[what] = half
    return public


@click.group()
def demo() -> None:
    """The demo platform: RLG Data and RLG Fans, with a file tree."""


@demo.command("generate")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--include",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("include"),
    show_default=True,
)
@click.option("--seed", default=7, show_default=True)
@click.option("--size", default=2000, show_default=True, help="Accounts; everything else scales with them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def demo_generate(folder: Path, include: Path, seed: int, size: int, as_json: bool) -> int:
    """Generate the platform into a new folder. Example: rlg-backup demo generate .demo/platform"""
    from ..demo import generate

    output = Output(as_json)
    with progress_bar(not as_json) as progress:
        summary = generate(
            folder, include=include, seed=seed, size=size, progress=lambda table, rows: progress(table, rows, 0)
        )
    output.say(f"generated {folder}: {summary.rows:,} rows, {summary.entries} files and folders")
    output.data(asdict(summary))
    return 0


@demo.command("mutate")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--seed", default=1, show_default=True)
@click.option("--changes", default=200, show_default=True, help="How many changes in all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def demo_mutate(folder: Path, seed: int, changes: int, as_json: bool) -> int:
    """Apply a seeded mix of inserts, updates and deletes. Example: rlg-backup demo mutate .demo/platform --seed 2"""
    from ..demo import mutate

    output = Output(as_json)
    summary = mutate(folder, seed=seed, changes=changes)
    done = ", ".join(f"{count} {name}" for name, count in sorted(summary.operations.items()))
    output.say(f"changed {folder}: {done}")
    output.data(asdict(summary))
    return 0


COMMANDS = (init, demo)
