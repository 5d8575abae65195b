# ruff: noqa: F401
"""What a victim needs, imported once: processes are then started in milliseconds. Imports only; no thread is begun."""

import boto3
import tests.support.victim

import rlg_backup.cli.commands
import rlg_backup.engine.backup
import rlg_backup.engine.tables
import rlg_backup.engine.trees
import rlg_backup.sources.files
import rlg_backup.sources.sqlite
import rlg_backup.storage.local
import rlg_backup.storage.s3
