"""A configuration a person got wrong: one error that names the key, exit code 2, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.refusal import failed, loses_nothing
from tests.support.world import World

from rlg_backup.cli.keys_commands import make

Change = Callable[[dict[str, Any]], object]


def settings_of(text: str) -> Change:
    """Merges a JSON text into the settings."""

    def merge(into: dict[str, Any], values: dict[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, dict) and isinstance(into.get(key), dict):
                merge(into[key], value)
            else:
                into[key] = value

    return lambda settings: merge(settings, json.loads(text))


SETTINGS = {
    "an unknown key": (
        '{"staging": {"folders": "x"}}',
        "UnknownSetting",
        "unable to load 'staging.folders': '{file}' has no such setting\nhint: did you mean 'folder'?",
    ),
    "an unknown key of a source": (
        '{"sources": {"app": {"policy": {}}}}',
        "UnknownSetting",
        "unable to load 'sources.app.policy': '{file}' has no such setting\nhint: did you mean 'policies'?",
    ),
    "an unknown key of a target that is called as its type": (
        '{"targets": {"local": {"pth": "x"}}}',
        "UnknownSetting",
        "unable to load 'targets.local.pth': '{file}' has no such setting\nhint: did you mean 'path'?",
    ),
    "an unknown key that is near to none": (
        '{"zzz": 1}',
        "UnknownSetting",
        "unable to load 'zzz': '{file}' has no such setting\nhint: docs/configuration.md lists every setting",
    ),
    "a wrong type": (
        '{"lease_minutes": "soon"}',
        "InvalidSetting",
        "unable to load 'lease_minutes': in '{file}': "
        "Input should be a valid integer, unable to parse string as an integer",
    ),
    "a list where a text belongs": (
        '{"timezone": ["UTC"]}',
        "InvalidSetting",
        "unable to load 'timezone': in '{file}': Input should be a valid string",
    ),
    "a time zone that is none": (
        '{"timezone": "Mars/Olympus"}',
        "InvalidSetting",
        "unable to load 'timezone': in '{file}': there is no such time zone",
    ),
    "a policy that is none": (
        '{"sources": {"app": {"policies": {"people.email": "shred"}}}}',
        "InvalidSetting",
        "unable to load 'sources.app.policies.people.email': in '{file}': it names no policy: "
        "keep, tokenize, scrub, hash, pseudonym, mask, generalize, redact, drop",
    ),
    "a policy of a masked copy that comes back": (
        '{"sources": {"app": {"masked": {"people.email": "tokenize"}}}}',
        "InvalidSetting",
        "unable to load 'sources.app.masked.people.email': in '{file}': it names no policy: "
        "keep, hash, pseudonym, mask, generalize, redact",
    ),
    "a setting of a policy that is none": (
        '{"sources": {"app": {"policies": {"people.email": {"policy": "mask", "keep_lst": 2}}}}}',
        "UnknownSetting",
        "unable to load 'sources.app.policies.people.email.keep_lst': '{file}' has no such setting\n"
        "hint: did you mean 'keep_last'?",
    ),
    "a policy that lacks a setting": (
        '{"sources": {"app": {"policies": {"people.email": "pseudonym"}}}}',
        "InvalidSetting",
        "unable to load 'sources.app.policies.people.email.like': in '{file}': Field required",
    ),
    "a policy with two ways": (
        '{"sources": {"app": {"policies": {"people.email": {"policy": "generalize", "to": "year", "bucket": 5}}}}}',
        "InvalidSetting",
        "unable to load 'sources.app.policies.people.email': in '{file}': give either 'to' or 'bucket'",
    ),
    "a path within JSON that is none": (
        '{"sources": {"app": {"policies": {"people.email": {"policy": "tokenize", "paths": ["email"]}}}}}',
        "InvalidSetting",
        "unable to load 'sources.app.policies.people.email.paths.0': in '{file}': "
        "a path begins with $, and goes on with .name, ['any name'], [0], [*] or .*",
    ),
    "a type of target that is none": (
        '{"targets": {"far": {"type": "ftp", "path": "x"}}}',
        "InvalidSetting",
        "unable to load 'targets.far.type': in '{file}': it must be one of local, s3, gcs, azure",
    ),
    "a target without a type": (
        '{"targets": {"far": {"path": "x"}}}',
        "InvalidSetting",
        "unable to load 'targets.far.type': in '{file}': it must be one of local, s3, gcs, azure",
    ),
    "a source's target that is none": (
        '{"sources": {"app": {"targets": ["cloud"]}}}',
        "InvalidSetting",
        "unable to load '{file}': in '{file}': "
        "the source 'app' names the target 'cloud', which 'targets' does not have",
    ),
    "a source without a target": (
        '{"sources": {"app": {"targets": []}}}',
        "InvalidSetting",
        "unable to load '{file}': in '{file}': the source 'app' has no target",
    ),
    "a name that is none": (
        '{"targets": {"../up": {"type": "local", "path": "x"}}}',
        "InvalidSetting",
        "unable to load 'targets.../up': in '{file}': "
        "a name is a lower-case letter, then lower-case letters, digits and _, at most 63",
    ),
    "a cloud in the clear": (
        '{"targets": {"far": {"type": "s3", "bucket": "b", "endpoint_url": "http://127.0.0.1"}}}',
        "InvalidSetting",
        "unable to load 'targets.far': in '{file}': "
        "endpoint_url must be https:// unless the target is declared 'emulator: true'",
    ),
    "a variable that is not set": (
        '{"staging": {"folder": "${RLG_NOWHERE}/x"}}',
        "VariableMissing",
        "unable to load 'staging.folder': the variable RLG_NOWHERE of '{file}' is not set\n"
        "hint: set RLG_NOWHERE in the environment or in .env, or give a default: ${{RLG_NOWHERE:-...}}",
    ),
    "a path that is none": (
        '{"state": "a\\u0000b"}',
        "InvalidSetting",
        "unable to load 'state': in '{file}': it is not a path",
    ),
    "nobody to encrypt to": (
        '{"encryption": {"recipients": []}}',
        "RecipientMissing",
        "unable to encrypt 'archive': no recipient is configured\n"
        "hint: set 'recipients' to one or more age1... texts; 'age-keygen' makes a pair",
    ),
    "a recipient that is none": (
        '{"encryption": {"recipients": ["age1nobody"]}}',
        "KeyMalformed",
        "unable to read 'age recipient': it has a character that Bech32 does not use",
    ),
    "nobody to believe": (
        '{"signing": {"trusted": []}}',
        "InvalidSetting",
        "unable to load 'signing.trusted': nobody is trusted to sign, so nothing can be verified",
    ),
    "no signing key": (
        '{"signing": {"key": null}}',
        "KeyUnavailable",
        "unable to sign 'signing.key': no signing key is configured here\nhint: set signing.key",
    ),
    "a key file that is gone": (
        '{"signing": {"key": "file:keys/nowhere"}}',
        "KeyUnavailable",
        "unable to read 'file:keys/nowhere': there is no such file",
    ),
    "tokens without a key": (
        '{"tokenization": {"key": null}}',
        "KeyUnavailable",
        "unable to anonymize 'people.email': its policy needs the tokenization key and there is none\n"
        "hint: set 'tokenization.key'",
    ),
    "a policy of a column that is not there": (
        '{"sources": {"app": {"policies": {"people.emial": "tokenize"}}}}',
        "InvalidSetting",
        "unable to apply 'policies.people.emial': it matches no column of the source\n"
        "hint: correct the name, or take the line out",
    ),
    "a dataset of a table that is not there": (
        '{"sources": {"app": {"datasets": {"crm": ["persons"]}}}}',
        "InvalidSetting",
        "unable to apply 'datasets.crm': there is no table 'persons'\nhint: correct the name, or take the line out",
    ),
    "a source without a path": (
        '{"sources": {"app": {"path": null}}}',
        "InvalidSetting",
        "unable to open 'app': the configuration gives no path\n"
        "hint: set sources.app.path, or make the Airflow connection rlg_app",
    ),
    "a source that is not there": (
        '{"sources": {"app": {"path": "gone.db"}}}',
        "SourceUnreadable",
        "unable to open '{root}/gone.db': there is no such file",
    ),
    "a source that is a folder": (
        '{"sources": {"app": {"path": "keys"}}}',
        "SourceUnreadable",
        "unable to open '{root}/keys': it is not a file",
    ),
    "a source that is no database": (
        '{"sources": {"app": {"path": "keys/backup-worker/signing.key"}}}',
        "SourceUnreadable",
        "unable to read '{root}/keys/backup-worker/signing.key': it is not a SQLite database",
    ),
    "a tree that is not there": (
        '{"sources": {"app": {"type": "files", "path": "gone", "targets": ["local"]}}}',
        "SourceUnreadable",
        "unable to open '{root}/gone': no such file or directory",
    ),
    "a tree that is a file": (
        '{"sources": {"app": {"type": "files", "path": "app.db", "targets": ["local"]}}}',
        "SourceUnreadable",
        "unable to open '{root}/app.db': not a directory",
    ),
}
EXIT_CODES = {"SourceUnreadable": 1}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_backup_with_a_wrong_setting(world: World, case: str) -> None:
    change, error, text = SETTINGS[case]
    with loses_nothing(world):
        if '"files"' in change:
            world.source.pop("policies")
        settings_of(change)(world.settings)
        world.save()
        code = EXIT_CODES.get(error, 2)
        text = text.format(file=world.config, root=world.root)
        failed(world.run("backup"), code, text)
        told = world.run("backup", "--json")
        assert told.code == code
        message, _, hint = text.partition("\nhint: ")
        assert told.json == {"error": error, "message": message, "hint": hint or None}


def test_recipients_of_two_kinds_are_refused(world: World) -> None:
    with loses_nothing(world):
        world.settings["encryption"]["recipients"].append(make("identity", post_quantum=True)[1])
        world.save()
        failed(
            world.run("backup"),
            2,
            "unable to encrypt 'archive': its recipients are of types X25519 and mlkem768x25519\n"
            "hint: use recipients that all begin with age1pq1, or none that does",
        )


FILES = {
    "an alias": ("a: &x [1]\nb: *x\n", "aliases (*name) are not allowed (line 2, column 4)"),
    "a key twice": ("version: 1\nversion: 1\n", "the key 'version' stands twice (line 2, column 1)"),
    "a key that is a list": ("? [a]\n: 1\n", "a key is not a plain text (line 1, column 3)"),
    "no YAML": ("a: [1\n", "expected ',' or ']', but got '<stream end>' (line 2, column 1)"),
    "a date that is none": ("a: 2026-13-45\n", "it is nested too deeply or not YAML"),
    "a nest": ("[" * 5000, "it is nested too deeply or not YAML"),
    "a Python object": (
        "a: !!python/object/apply:os.system [ls]\n",
        "tags (!name) are not allowed (line 1, column 4)",
    ),
    "a list": ("- 1\n", "the file does not hold a mapping of settings"),
    "nothing": ("", "the file does not hold a mapping of settings"),
    "too much": ("#" * (1 << 20) + "\n", "the file is larger than 1048576 bytes"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_configuration_that_cannot_be_read(world: World, case: str) -> None:
    text, cause = FILES[case]
    with loses_nothing(world):
        world.config.write_text(text)
        failed(world.run("backup"), 2, f"unable to load '{world.config}': {cause}")
        told = world.run("list", "--json")
        assert (told.code, told.json["error"]) == (2, "InvalidSetting")


def test_a_configuration_that_is_not_there_is_missing_or_not_text(world: World) -> None:
    with loses_nothing(world):
        world.config.rename(world.root / "other.yaml")
        failed(
            world.run("backup"),
            2,
            f"unable to load '{world.config}': there is no such file\n"
            "hint: write one with 'rlg-backup init', or name one with --config FILE",
        )
        world.config.mkdir()
        failed(world.run("backup"), 2, f"unable to load '{world.config}': is a directory")
        world.config.rmdir()
        world.config.write_bytes(b"version: \xff\n")
        failed(world.run("backup"), 2, f"unable to load '{world.config}': it is not UTF-8 text")
