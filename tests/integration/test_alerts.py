"""Alerts over the wire: a real SMTP server and a real HTTP server get what ``outcome`` sends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import airflow_home
from tests.support.alert_servers import PASSWORD, Hook, Mailbox, serve_hook, serve_mailbox
from tests.support.ports import free_port
from tests.support.world import EMAILS, PHONES, WORDS, World

pytestmark = pytest.mark.airflow
ADVICE = "Open the failed step's log, mend the cause, clear the run from 'stage'."


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with serve_mailbox() as box:
        monkeypatch.setenv("AIRFLOW_CONN_RLG_ALERT_SMTP", box.connection)
        yield box


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with serve_hook() as server:
        monkeypatch.setenv("AIRFLOW_CONN_RLG_ALERT_WEBHOOK", server.connection)
        yield server


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project whose source ``app`` is fine and whose source ``broken`` is no database."""
    airflow_home.migrate()
    made = World.make(tmp_path / "project")
    (made.root / "broken.db").write_text("no database at all " * 100)
    made.settings["sources"]["broken"] = {"type": "sqlite", "path": "broken.db", "targets": ["local"]}
    made.settings["alerts"] = {"email_from": "backup@rlg.example", "email_to": ["ops@rlg.example", "cto@rlg.example"]}
    made.save()
    monkeypatch.setenv(airflow_home.VARIABLE, str(made.config))
    return made


def test_a_failed_run_reaches_the_mailbox_and_the_webhook_with_what_failed_and_what_to_do(
    world: World, mailbox: Mailbox, hook: Hook
) -> None:
    done = airflow_home.run("rlg_full_backup")
    problem = "broken: no backup was committed; failed at: broken.snapshot"
    backup_id = done.returned("app.commit")["backup_id"]
    title = f"rlg_full_backup failed ({done.run_id})"
    assert done.state == "failed"

    (mail,) = mailbox.messages
    assert (mail["Subject"], mail["From"]) == (f"[RLG Backup] {title}", "backup@rlg.example")
    assert sorted(address.addr_spec for address in mail["To"].addresses) == ["cto@rlg.example", "ops@rlg.example"]
    text = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]  # an e-mail without a body fails here
    assert text.strip() == f"<pre>- {problem}\n\n{ADVICE.replace(chr(39), '&#x27;')}</pre>"

    ((path, content_type, body),) = hook.requests
    assert (path, content_type) == ("/alerts/here", "application/json")
    assert body == {
        "title": title,
        "text": f"- {problem}\n\n{ADVICE}",
        "data": {
            "dag": "rlg_full_backup",
            "run": done.run_id,
            "problems": [problem],
            "app": {"backup_id": backup_id, "committed": {"local": 1}},
        },
    }


def assert_told(hook: Hook, done: airflow_home.Ran, dag: str, what: str, warning: str, so: str) -> None:
    """One alert of a run that succeeded, with the first backup of ``app``."""
    ((_, _, body),) = hook.requests
    backup_id = done.returned("app.commit")["backup_id"]
    assert body == {
        "title": f"{dag} {what} ({done.run_id})",
        "text": f"- {warning}\n\n{so}",
        "data": {
            "dag": dag,
            "run": done.run_id,
            "warnings": [warning],
            "app": {"backup_id": backup_id, "committed": {"local": 1}},
        },
    }


def test_a_full_backup_in_the_place_of_an_incremental_one_is_an_alert_and_no_failure(world: World, hook: Hook) -> None:
    del world.settings["sources"]["broken"]
    world.save()
    done = airflow_home.run("rlg_incremental_backup")
    warning = "app: full instead of incremental: target 'local' has no backup of this source yet"
    assert (done.state, done.errors) == ("success", {})
    so = "Nothing is lost; the next ones are made after these."
    assert_told(hook, done, "rlg_incremental_backup", "made full backups", warning, so)
    assert airflow_home.run("rlg_incremental_backup").returned("app.commit")["kind"] == "incremental"
    assert len(hook.requests) == 1, "what went as planned alerts nobody"


def test_a_column_that_was_tokenized_without_a_policy_is_an_alert_and_no_failure(world: World, hook: Hook) -> None:
    del world.settings["sources"]["broken"]
    world.source["policies"] = {"people.email": "tokenize"}
    world.save()
    done = airflow_home.run("rlg_full_backup")
    why = "people.phone (phone, confidence 0.99); give it a policy, or keep it by name"
    warning = f"app: tokenized without a policy: {why}"
    assert (done.state, done.errors) == ("success", {})
    so = "Nothing is lost: with the tokenization key a restore gives them back."
    assert_told(hook, done, "rlg_full_backup", "tokenized columns", warning, so)


def test_a_failed_run_reaches_a_slack_channel(world: World, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_RLG_ALERT_WEBHOOK")
    connection = {"conn_type": "slackwebhook", "password": f"{hook.url}/services/T0/B0/{PASSWORD}"}
    monkeypatch.setenv("AIRFLOW_CONN_RLG_ALERT_SLACK", json.dumps(connection))
    hook.status, hook.answer = 200, b"ok"  # what Slack says
    done = airflow_home.run("rlg_full_backup")
    ((path, _, body),) = hook.requests
    problem = "broken: no backup was committed; failed at: broken.snapshot"
    assert path == f"/services/T0/B0/{PASSWORD}"
    assert body["text"] == f"*rlg_full_backup failed ({done.run_id})*\n- {problem}\n\n{ADVICE}"
    assert PASSWORD not in done.log


def test_no_alert_holds_a_row_value_a_key_or_a_password(
    world: World, mailbox: Mailbox, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status = 500  # so that the client has something to complain of
    done = airflow_home.run("rlg_full_backup")
    keys = [word for file in (world.root / "keys").rglob("*.*") for word in file.read_text().split() if len(word) > 40]
    secret = [word for word in keys if word not in world.public.values()]
    assert (len(mailbox.messages), len(hook.requests), len(secret) > 4) == (1, 1, True)
    said = str(mailbox.messages[0]) + json.dumps(hook.requests) + done.log + caplog.text
    assert [word for word in (*secret, *EMAILS, *PHONES, *WORDS, PASSWORD) if word in said] == []


def test_a_backup_that_misses_one_copy_is_named_by_its_id(world: World, hook: Hook) -> None:
    del world.settings["sources"]["broken"]
    world.settings["targets"]["away"] = {"type": "s3", "bucket": "b", "region": "us-east-1", "emulator": True}
    world.source["targets"] = list(world.settings["targets"])
    world.save()
    closed = f"http://127.0.0.1:{free_port()}"
    extra = {"endpoint_url": closed, "config_kwargs": {"retries": {"max_attempts": 1}}}
    with pytest.MonkeyPatch.context() as patch:
        connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
        patch.setenv("AIRFLOW_CONN_RLG_TARGET_AWAY", json.dumps(connection))
        done = airflow_home.run("rlg_full_backup")
    ((_, _, body),) = hook.requests
    backup_id = done.returned("app.commit")["backup_id"]
    cause = "unable to read 'catalog/app/lease.json': target 'away' cannot be reached (EndpointConnectionError)"
    assert body["text"] == f"- app: backup {backup_id} has no copy on 'away': {cause}\n\n{ADVICE}"


def test_a_good_run_alerts_nobody(world: World, mailbox: Mailbox, hook: Hook) -> None:
    del world.settings["sources"]["broken"]
    world.save()
    assert airflow_home.run("rlg_full_backup").state == "success"
    assert (mailbox.messages, hook.requests) == ([], [])


def send(caplog: pytest.LogCaptureFixture) -> list[str]:
    """One alert; the title and the text are in the log whatever else happens."""
    from rlg_backup.tasks.alerts import send as send_alert

    sent = send_alert("title", "text", {"dag": "d"})
    assert "ALERT title\ntext" in caplog.messages
    return sent


def test_a_mail_server_that_refuses_does_not_stop_the_webhook(
    world: World, mailbox: Mailbox, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.refusing = True
    assert (send(caplog), len(hook.requests)) == (["rlg_alert_webhook"], 1)
    said = [text for text in caplog.messages if text.startswith("the alert did not go out")]
    assert said == ["the alert did not go out by rlg_alert_smtp: SMTPDataError"]
    assert PASSWORD not in caplog.text


def test_a_webhook_that_answers_with_an_error_does_not_stop_the_mail(
    world: World, mailbox: Mailbox, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status = 500
    assert (send(caplog), len(mailbox.messages)) == (["rlg_alert_smtp"], 1)
    said = [text for text in caplog.messages if text.startswith("the alert did not go out")]
    assert said == ["the alert did not go out by rlg_alert_webhook: AirflowException"]


def test_a_webhook_that_never_answers_is_given_up(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlg_backup.tasks.alerts.PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = {"conn_type": "http", "host": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        monkeypatch.setenv("AIRFLOW_CONN_RLG_ALERT_WEBHOOK", json.dumps(connection))
        assert send(caplog) == []
    assert "the alert did not go out by rlg_alert_webhook: ReadTimeout" in caplog.messages


def test_a_connection_that_cannot_be_read_does_not_stop_the_other_channel(
    world: World, hook: Hook, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RLG_ALERT_SMTP", "{" + PASSWORD)
    assert (send(caplog), len(hook.requests)) == (["rlg_alert_webhook"], 1)
    assert PASSWORD not in caplog.text


def test_mail_to_nobody_is_said_in_the_log(world: World, mailbox: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    world.settings["alerts"]["email_to"] = []
    world.save()
    assert (send(caplog), mailbox.messages) == ([], [])
    assert (
        "the alert did not go out by rlg_alert_smtp: unable to send to 'alerts.email_to': it names nobody"
        in caplog.messages
    )


def test_without_a_channel_the_alert_is_in_the_log_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert send(caplog) == []
    assert caplog.messages[-1] == "alert sent by: the log alone"
