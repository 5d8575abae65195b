"""``secret:`` references that name nothing that can be read: one class, whole texts, never a value."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from tests.support import airflow_home  # noqa: F401  # before airflow
from tests.support.world import World

from rlg_backup.config.load import load
from rlg_backup.core.errors import KeyUnavailable
from rlg_backup.tasks.wire import resolver

VARIABLES = "airflow.secrets.environment_variables.EnvironmentVariablesBackend"


class Secretive:
    """A backend whose client complains with what it was given, as some do."""

    def get_variable(self, key: str) -> str:
        raise RuntimeError("token s3cr3t was refused")


def resolve(tmp_path: Any, reference: str, **backends: dict[str, Any]) -> str:
    world = World.make(tmp_path / "project")
    world.settings["secrets"] = backends
    world.save()
    return resolver(load(world.config))(reference)


def test_a_variable_of_a_named_backend_is_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_RLG_IDENTITY", "AGE-SECRET-KEY-1")
    assert resolve(tmp_path, "vars/rlg_identity", vars={"backend": VARIABLES}) == "AGE-SECRET-KEY-1"


@pytest.mark.parametrize(
    ("reference", "backends", "text"),
    [
        ("vault/key", {}, "unable to read 'secret:vault': 'secrets' names no such backend (there are: none)"),
        (
            "vault/key",
            {"b": {"backend": VARIABLES}, "a": {"backend": VARIABLES}},
            "unable to read 'secret:vault': 'secrets' names no such backend (there are: a, b)",
        ),
        (
            "a",
            {"a": {"backend": VARIABLES}},
            "unable to read 'secret:a': it names no variable\nhint: write secret:a/KEY",
        ),
        (
            "a/",
            {"a": {"backend": VARIABLES}},
            "unable to read 'secret:a/': it names no variable\nhint: write secret:a/KEY",
        ),
        (
            "a/rlg_gone",
            {"a": {"backend": VARIABLES}},
            "unable to read 'secret:a/rlg_gone': the backend holds no such variable",
        ),
        (
            "a/key",
            {"a": {"backend": "no.such.Backend"}},
            "unable to open 'no.such.Backend': the backend cannot be made (ModuleNotFoundError)\n"
            "hint: secrets.<name>.backend is a class",
        ),
        (
            "a/key",
            {"a": {"backend": "Backend"}},
            "unable to open 'Backend': the backend cannot be made (ValueError)\n"
            "hint: secrets.<name>.backend is a class",
        ),
        (
            "a/key",
            {"a": {"backend": VARIABLES, "kwargs": {"no_such": 1}}},
            f"unable to open '{VARIABLES}': the backend cannot be made (TypeError)\n"
            "hint: secrets.<name>.backend is a class",
        ),
    ],
    ids=["none", "unknown", "no-slash", "no-key", "missing", "no-module", "no-dot", "wrong-arguments"],
)
def test_what_cannot_be_read_is_said(
    reference: str, backends: dict[str, dict[str, Any]], text: str, tmp_path: Any
) -> None:
    with pytest.raises(KeyUnavailable) as error:
        resolve(tmp_path, reference, **backends)
    assert (type(error.value), str(error.value)) == (KeyUnavailable, text)


def test_what_a_backends_client_says_does_not_get_out(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    module = types.ModuleType("a_vendors_module")
    module.Secretive = Secretive  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_vendors_module", module)
    with pytest.raises(KeyUnavailable) as error:
        resolve(tmp_path, "a/key", a={"backend": "a_vendors_module.Secretive"})
    assert str(error.value) == (
        "unable to read 'secret:a/key': the backend does not give it (RuntimeError)\n"
        "hint: look at secrets.a and its permissions"
    )
    assert error.value.__suppress_context__
