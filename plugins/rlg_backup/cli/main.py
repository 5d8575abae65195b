"""The command ``rlg-backup``."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import click

from .. import __version__
from ..core.errors import FAILED, BackupError
from ..engine.limits import in_our_words
from . import (
    commands,
    erasure_commands,
    keys_commands,
    privacy_commands,
    restore_commands,
    retention_commands,
    setup_commands,
    target_commands,
)
from .output import fail

EXIT_CODES = """\b
Exit codes:
  0  PASS: done, and proven where it can be
  1  FAIL: the operation failed, or something is damaged
  2  usage or configuration
  3  COULD-NOT-VERIFY: it could not be checked, which is never green
"""

EXAMPLES = """\b
Examples:
  rlg-backup init                                     write backup.yaml and keys
  rlg-backup backup --source data --kind full
  rlg-backup list
  rlg-backup verify 20261122T020000Z-7f3a9c2e --full
  rlg-backup restore latest --source data --to /restore/data.db
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=f"Back up, verify, restore and drill: the data comes back, exactly.\n\n{EXAMPLES}\n{EXIT_CODES}",
)
@click.version_option(__version__, prog_name="rlg-backup")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=lambda: os.environ.get("RLG_BACKUP_CONFIG", "backup.yaml"),
    show_default="$RLG_BACKUP_CONFIG, then backup.yaml",
    help="The configuration file.",
)
@click.option("--verbose", is_flag=True, help="Log each step with its time to standard error.")
@click.pass_context
def cli(context: click.Context, config: Path, verbose: bool) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s")
    context.obj = Path(config)


for command in (
    *setup_commands.COMMANDS,
    keys_commands.keys,
    *commands.COMMANDS,
    *restore_commands.COMMANDS,
    *retention_commands.COMMANDS,
    *target_commands.COMMANDS,
    privacy_commands.privacy,
    *erasure_commands.COMMANDS,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit; no error of ours ends in a traceback.

    Told to end (SIGTERM), it wipes its staging and gives its leases back first, as on Ctrl-C.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        signal.signal(signal.SIGTERM, _end)
        with in_our_words("run", "rlg-backup"):
            code = cli.main(args=given, standalone_mode=False) or 0
        sys.exit(code)
    except BackupError as error:
        sys.exit(fail(error, "--json" in given))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; 'rlg-backup list' shows what was committed before", err=True)
        sys.exit(FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
