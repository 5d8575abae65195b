"""One YAML file, variables and .env become typed settings; every mistake is an error that names its key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from rlg_backup.config.explain import models_in
from rlg_backup.config.load import load
from rlg_backup.config.settings import Settings, SqliteSettings
from rlg_backup.config.targets import LocalTarget, S3Target
from rlg_backup.core.errors import ConfigurationError, InvalidSetting, UnknownSetting, VariableMissing

SMALL = """\
version: 1
staging: {folder: staging, key: "file:keys/staging.key"}
state: state
encryption: {recipients: [age1x]}
signing: {trusted: [rlgsigner1x]}
targets:
  nas: {type: local, path: backups}
sources:
  app: {type: sqlite, path: app.db, targets: [nas]}
"""


def loaded(folder: Path, text: str, **environment: str) -> Settings:
    file = folder / "backup.yaml"
    file.write_text(text, "utf-8")
    return load(file, environment)


def refused(folder: Path, text: str, **environment: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text, **environment)
    return caught.value


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    found = loaded(tmp_path, SMALL)
    app, nas = found.sources["app"], found.targets["nas"]
    assert isinstance(app, SqliteSettings) and isinstance(nas, LocalTarget)
    assert (found.timezone, found.lease_minutes, found.restore_queue) == ("UTC", 60, "restore")
    assert (found.schedule.full, found.schedule.drill) == ("0 2 * * 0", "0 4 1 * *")
    assert (found.schedule.incremental, found.schedule.differential) == ("0 2 * * *", "none")
    assert (found.schedule.full_covers_hours, found.lease_wait_hours) == (12, 12)
    assert found.change_state is None
    assert (found.staging.mode, found.drill, found.tokenization.key) == ("shared", None, None)
    assert (found.signing.key, found.encryption.identities, found.alerts.email_to) == (None, (), ())
    assert (app.queue, app.pool, app.exclude, app.names_in_clear) == ("backup", "rlg_backup", (), False)
    assert (app.datasets, app.geography, app.totals, app.policies, app.personal_text_allowed) == ({}, None, {}, {}, ())


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = SMALL.replace("path: backups", f"path: {tmp_path}/absolute").replace("state: state", "state: ~/state")
    (tmp_path / "conf" / "backup.yaml").write_text(text)
    found = load(Path("..") / "conf" / "backup.yaml", {})
    nas = found.targets["nas"]
    assert isinstance(nas, LocalTarget)
    assert (found.staging.folder, nas.path, found.state) == (
        tmp_path / "conf" / "staging",
        tmp_path / "absolute",
        tmp_path / "home" / "state",
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("${NAME}", "value"),
        ("a-${NAME}-${NAME}-b", "a-value-value-b"),
        ("${NAME:-other}", "value"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),  # as in a shell
        ("x${UNSET:-}y", "xy"),
        ("x${EMPTY}y", "xy"),
        ("$$", "$"),
        ("$${NAME}", "${NAME}"),
        ("$$$$", "$$"),
        ("$NAME", "$NAME"),
        ("cost: $5", "cost: $5"),
    ],
)
def test_variables_are_filled_in(tmp_path: Path, written: str, read: str) -> None:
    text = SMALL + f"restore_queue: '{written}'\n"
    assert loaded(tmp_path, text, NAME="value", EMPTY="").restore_queue == read


@pytest.mark.parametrize("written", ["${", "${}", "${1}", "${a b}", "${NAME:-${OTHER}}", "${NAME", "${NAME:other}"])
def test_a_variable_that_is_not_written_as_one_is_refused(tmp_path: Path, written: str) -> None:
    error = refused(tmp_path, SMALL + f"restore_queue: '{written}'\n", NAME="value")
    assert (type(error), str(error)) == (
        InvalidSetting,
        f"unable to load 'restore_queue': in '{tmp_path}/backup.yaml': a variable is not written as one\n"
        "hint: write ${NAME} or ${NAME:-default}, where the default holds no variable; $$ stands for a dollar sign",
    )


def test_a_variable_that_is_not_set_names_its_key(tmp_path: Path) -> None:
    error = refused(tmp_path, SMALL.replace("[age1x]", "[a, '${NOBODY}']"))
    assert (type(error), str(error)) == (
        VariableMissing,
        f"unable to load 'encryption.recipients.1': the variable NOBODY of '{tmp_path}/backup.yaml' is not set\n"
        "hint: set NOBODY in the environment or in .env, or give a default: ${NOBODY:-...}",
    )


def test_a_variable_in_a_value_is_not_read_again(tmp_path: Path) -> None:
    text = SMALL + "restore_queue: '${NAME}'\n"
    assert loaded(tmp_path, text, NAME="${OTHER} $$", OTHER="x").restore_queue == "${OTHER} $$"


def test_an_empty_variable_in_a_list_is_no_entry(tmp_path: Path) -> None:
    text = SMALL.replace("[age1x]", "[age1x, '${ESCROW:-}']")
    assert loaded(tmp_path, text).encryption.recipients == ("age1x",)


def test_the_environment_goes_before_dotenv_and_the_files_folder_before_the_working_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    text = SMALL + "restore_queue: ${QUEUE:-none}\n"
    assert loaded(tmp_path, text).restore_queue == "none"
    (work / ".env").write_text("QUEUE=from-work\n")
    assert loaded(tmp_path, text).restore_queue == "from-work"
    (tmp_path / ".env").write_text("# a comment\nexport QUEUE='from ${BESIDE}'\nBARE\n")
    assert loaded(tmp_path, text).restore_queue == "from ${BESIDE}"
    assert loaded(tmp_path, text, QUEUE="from-environment").restore_queue == "from-environment"


def test_the_process_environment_is_used_when_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE", "q")
    (tmp_path / "backup.yaml").write_text(SMALL + "restore_queue: ${QUEUE}\n")
    assert load(tmp_path / "backup.yaml").restore_queue == "q"
    assert os.environ["QUEUE"] == "q"


def test_a_dotenv_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe\n")
    error = refused(tmp_path, SMALL)
    assert str(error) == f"unable to load '{tmp_path}/.env': it is not UTF-8 text"


def test_no_error_shows_a_value(tmp_path: Path) -> None:
    secret = "AGE-SECRET-KEY-1QQQQ"
    for text in (
        SMALL + f"lease_minutes: {secret}\n",
        SMALL.replace("version: 1", f"version: {secret}"),
        SMALL.replace("{recipients: [age1x]}", secret),
        SMALL.replace("type: sqlite", f"type: {secret}"),
        SMALL.replace("targets: [nas]", f"targets: [nas], policies: {{a.b: {secret}}}"),
        SMALL + f"timezone: {secret}\n",
    ):
        assert secret not in str(refused(tmp_path, text))


def every_model() -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    waiting: list[type[BaseModel]] = [Settings]
    while waiting:
        model = waiting.pop()
        if model not in found:
            found.append(model)
            waiting += [inner for field in model.model_fields.values() for inner in models_in(field.annotation)]
    return found


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_every_model_refuses_a_key_it_does_not_know(model: type[BaseModel]) -> None:
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"] is True


@pytest.mark.parametrize(
    ("text", "where", "near"),
    [
        ("stagin: {}\n", "stagin", "staging"),
        ("schedule: {ful: x}\n", "schedule.ful", "full"),
        ("drill: {scratch: a, reports: b, suite: {}}\n", "drill.suite", "suites"),
        ("alerts: {email: [a]}\n", "alerts.email", "email_to"),
    ],
)
def test_a_misspelt_key_is_told_the_nearest_right_one(tmp_path: Path, text: str, where: str, near: str) -> None:
    error = refused(tmp_path, SMALL + text)
    assert (type(error), str(error)) == (
        UnknownSetting,
        f"unable to load '{where}': '{tmp_path}/backup.yaml' has no such setting\nhint: did you mean '{near}'?",
    )


@pytest.mark.parametrize("name", ["local", "s3", "files", "sqlite"])
def test_a_target_or_source_may_be_called_as_a_type(tmp_path: Path, name: str) -> None:
    text = SMALL.replace("nas", name).replace("  app:", f"  {name}:")
    assert list(loaded(tmp_path, text).targets) == [name]
    error = refused(tmp_path, text.replace("path: backups", "path: backups, buckt: x"))
    assert error.subject == f"targets.{name}.buckt"
    error = refused(tmp_path, text.replace("path: app.db", "path: 7"))
    assert error.subject == f"sources.{name}.path"


def test_a_cloud_target_needs_tls_unless_it_is_an_emulator(tmp_path: Path) -> None:
    cloud = "{type: s3, bucket: b, endpoint_url: 'http://127.0.0.1:9'%s}"
    text = SMALL.replace("{type: local, path: backups}", cloud)
    assert isinstance(loaded(tmp_path, text % ", emulator: true").targets["nas"], S3Target)
    assert str(refused(tmp_path, text % "")) == (
        f"unable to load 'targets.nas': in '{tmp_path}/backup.yaml': "
        "endpoint_url must be https:// unless the target is declared 'emulator: true'"
    )


def test_what_settings_hold_cannot_be_changed(tmp_path: Path) -> None:
    found = loaded(tmp_path, SMALL)
    with pytest.raises(ValueError, match="frozen"):
        found.timezone = "Africa/Johannesburg"


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (
            "change_state: {recipients: [age1x]}\n",
            "a recipient of 'change_state' is one of 'encryption', too: whose identity opens archives",
        ),
        (
            "change_state: {recipients: [age1y], identities: [file:own]}\n",
            "an identity of 'change_state' is one of 'encryption' or 'drill', which opens archives",
        ),
        (
            "change_state: {recipients: [age1y], identities: [file:escrow]}\n",
            "an identity of 'change_state' is one of 'encryption' or 'drill', which opens archives",
        ),
    ],
)
def test_the_keys_of_change_state_are_none_that_open_archives(tmp_path: Path, state: str, cause: str) -> None:
    text = SMALL.replace("[age1x]}", "[age1x], identities: [file:own]}")
    text += "drill: {scratch: a, reports: b, identities: [file:escrow]}\n"
    loaded(tmp_path, text + "change_state: {recipients: [age1y], identities: [file:apart]}\n")
    error = refused(tmp_path, text + state)
    assert (type(error), str(error)) == (
        InvalidSetting,
        f"unable to load '{tmp_path}/backup.yaml': in '{tmp_path}/backup.yaml': {cause}",
    )


# --- whatever the file holds ---------------------------------------------------------------------------

SCALARS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["1", "~", "2026-13-45", "0x", "1e999", "!!int x", "*a", "&a 1", "${A}", "${", "$$", "\\0"]),
    st.sampled_from(["'\\0'", '"\\0"', '"\\uD800"', "~nobody/x", "!!python/none", "!!binary x", "<<", "{", "["]),
    st.sampled_from(["? [a]", "--- x", "%YAML 9"]),
    st.integers().map(str),
)  # fmt: skip
LINES = SMALL.splitlines()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.integers(0, len(LINES) - 1), key=st.booleans(), value=SCALARS)
@example(line=0, key=False, value="2026-13-45")
@example(line=0, key=True, value="? [a]")
@example(line=2, key=False, value='"a\\0b"')
@example(line=2, key=False, value="~nobody-of-that-name/x")
@example(line=2, key=False, value='"\\uD800"')
@example(line=0, key=True, value='"\\uD800"')
def test_a_file_with_anything_in_one_place_is_settings_or_an_error_of_ours(
    tmp_path: Path, line: int, key: bool, value: str
) -> None:
    name, _, rest = LINES[line].partition(":")
    changed = f"{value}:{rest}" if key else f"{name}: {value}"
    text = "\n".join([*LINES[:line], changed, *LINES[line + 1 :]])
    settings_or_error(tmp_path, text.encode("utf-8", "replace"))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), st.text("{}[]:,-?!&*#|>'\"%@` \n\tab1~.<=$", max_size=60).map(str.encode)))
@example(b"? {a: 1}\n: 2\n")
@example(b"a: !!timestamp x\n")
@example(b"a: !!float x\n")
@example(b"1: 2\n")
@example(b"<<: [1]\n")
@example(b"<<: {version: 1}\nversion: 2\n")
def test_any_bytes_are_settings_or_an_error_of_ours(tmp_path: Path, data: bytes) -> None:
    settings_or_error(tmp_path, data)


def settings_or_error(folder: Path, data: bytes) -> None:
    file = folder / "any.yaml"
    file.write_bytes(data)
    try:
        assert isinstance(load(file, {}), Settings)
    except ConfigurationError as error:
        assert str(error).startswith("unable to load '")


def test_the_shipped_kinds_are_the_ones_an_error_names() -> None:
    assert get_args(LocalTarget.model_fields["type"].annotation) == ("local",)
    assert get_args(S3Target.model_fields["type"].annotation) == ("s3",)
