"""Alerts: to every channel whose connection is configured, and to the log always.

Connections: ``rlg_alert_smtp`` (e-mail, with ``alerts.email_to``), ``rlg_alert_slack`` (an incoming webhook),
``rlg_alert_webhook`` (HTTP; the alert is POSTed as JSON to its host and path).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from html import escape
from typing import Any

from ..core.errors import BackupError, InvalidSetting
from .clients import connection_exists
from .configuration import settings

log = logging.getLogger(__name__)
PATIENCE = 30  # seconds for a webhook to answer


def send(title: str, text: str, data: dict[str, Any]) -> list[str]:
    """Send one alert; returns the channels that took it. A channel that fails does not stop the others."""
    log.error("ALERT %s\n%s", title, text)
    channels: dict[str, Callable[[str, str, dict[str, Any]], None]] = {
        "rlg_alert_smtp": _mail,
        "rlg_alert_slack": _slack,
        "rlg_alert_webhook": _webhook,
    }
    sent = []
    for connection, channel in channels.items():
        try:
            if not connection_exists(connection):
                continue
            channel(title, text, data)
        except BackupError as error:
            log.error("the alert did not go out by %s: %s", connection, error)
        except Exception as error:  # a vendor's client raises what it likes; the other channels still have to be tried
            log.error("the alert did not go out by %s: %s", connection, type(error).__name__)
        else:
            sent.append(connection)
    log.info("alert sent by: %s", ", ".join(sent) or "the log alone")
    return sent


def _mail(title: str, text: str, data: dict[str, Any]) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    alerts = settings().alerts
    if not alerts.email_to:
        raise InvalidSetting("send to", "alerts.email_to", "it names nobody")
    with SmtpHook(smtp_conn_id="rlg_alert_smtp") as hook:
        hook.send_email_smtp(
            to=list(alerts.email_to),
            subject=f"[RLG Backup] {title}",
            html_content=f"<pre>{escape(text)}</pre>",
            from_email=alerts.email_from,
        )


def _slack(title: str, text: str, data: dict[str, Any]) -> None:
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    SlackWebhookHook(slack_webhook_conn_id="rlg_alert_slack").send_text(f"*{title}*\n{text}")


def _webhook(title: str, text: str, data: dict[str, Any]) -> None:
    from airflow.providers.http.hooks.http import HttpHook

    body = json.dumps({"title": title, "text": text, "data": data})
    HttpHook(method="POST", http_conn_id="rlg_alert_webhook").run(
        data=body, headers={"Content-Type": "application/json"}, extra_options={"timeout": PATIENCE}
    )
