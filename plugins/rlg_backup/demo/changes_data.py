"""Changes to RLG Data. Every change keeps the references, checks and price locks of the schema."""

from __future__ import annotations

from datetime import date, timedelta

from .chance import day, document, pick, some_time
from .data_accounts import uuid_text
from .data_operations import mixed
from .editor import Change, Changes, Editor
from .platform import Value


def _sign_up(at: Editor) -> bool:
    """A new account that joins the name, phone and address of others, its subscription and first payment."""
    rng, key = at.rng, at.next_key("accounts")
    like = at.row("SELECT full_name, phone, signup_ip, email FROM accounts WHERE id = ?", at.some("accounts"))
    name, phone, ip, email = like or ("Ada Example", None, "192.0.2.1", "ada@example.com")
    user, _, domain = email.partition("@")
    town = at.some("geo_towns") if rng.random() < 0.95 else None
    at.insert(
        "accounts",
        id=key,
        uuid=uuid_text(rng),
        full_name=name,
        email=f"{user}.{rng.getrandbits(48):x}@{domain}",
        phone=phone,
        signup_ip=ip,
        town_id=town,
        preferences=document({"channel": "web"}),
        status="trial",
        created_at=at.now(),
        updated_at=at.now(),
    )
    plan, period, cents = at.offer(town)
    terms: dict[str, Value] = {"plan": plan, "period": period, "amount_cents": cents}
    at.insert("subscriptions", account_id=key, **terms, status="active", started_at=at.now(), updated_at=at.now())
    return at.insert(
        "payments",
        subscription_id=at.one("SELECT max(id) FROM subscriptions"),
        account_id=key,
        amount_cents=cents,
        fee_cents=30,
        method="card",
        payer_name=name,
        paid_at=at.now(),
    )


def _scrape(at: Editor) -> bool:
    job = at.some("scrape_jobs")
    digest = f"{at.rng.getrandbits(256):064x}"
    content = document({"text": "", "words": 0})
    found: dict[str, Value] = {
        "url": f"https://news.example/n/{digest[:8]}",
        "title": "Late edition",
        "content": content,
    }
    return job is not None and at.insert("scrape_results", job_id=job, **found, sha256=digest, scraped_at=at.now())


def _log(at: Editor) -> bool:
    """Two equal rows, which only their number tells from one."""
    row: dict[str, Value] = {"at": at.now(), "service": "scraping", "event": "job_finished", "detail": mixed(at.rng)}
    return at.insert("event_log", **row) and at.insert("event_log", **row)


def _move_house(at: Editor) -> bool:
    """To another town of the country, so that the prices paid stay those of the place."""
    account = at.some("accounts")
    country = at.one("SELECT country_code FROM accounts JOIN places USING (town_id) WHERE accounts.id = ?", account)
    choice = "SELECT town_id FROM places WHERE country_code = ? ORDER BY town_id LIMIT 1 OFFSET ?"
    town = at.one(choice, country, at.rng.randrange(3))
    moved = "UPDATE accounts SET town_id = coalesce(?, town_id), phone = NULL, updated_at = ? WHERE id = ?"
    return at.run(moved, town, at.now(), account) > 0


def _lose_home(at: Editor) -> bool:
    """Where nothing is known the global price is paid, so only accounts that pay it may lose their place."""
    choice = """
        SELECT a.id FROM accounts AS a JOIN places AS p ON p.town_id = a.town_id
        JOIN geo_regions AS r ON r.code = p.region_code
        WHERE r.pricing_tier = 'global' AND a.id >= ? ORDER BY a.id LIMIT 1"""
    lost = "UPDATE accounts SET town_id = NULL, updated_at = ? WHERE id = ?"
    return at.run(lost, at.now(), at.one(choice, at.some("accounts"))) > 0


def _swap_emails(at: Editor) -> bool:
    """Two rows exchange a unique value: applied row by row, one of them is in the way of the other."""
    read = "SELECT id, email FROM accounts WHERE id = ?"
    one, other = at.row(read, at.some("accounts")), at.row(read, at.some("accounts"))
    if one is None or other is None or one == other:
        return False
    write = "UPDATE accounts SET email = ?, updated_at = ? WHERE id = ?"
    for email, key in ((f"{at.rng.getrandbits(64):x}@example.com", one[0]), (one[1], other[0]), (other[1], one[0])):
        at.run(write, email, at.now(), key)
        at.tick()
    return True


def _cancel(at: Editor) -> bool:
    """The trigger writes a row of the event log beside."""
    sql = "UPDATE subscriptions SET status = 'cancelled', cancelled_at = ?, updated_at = ? WHERE id = ?"
    return at.run(sql, at.now(), at.now(), at.some("subscriptions")) > 0


def _drop_thumbnail(at: Editor) -> bool:
    sql, content = "UPDATE scrape_results SET thumbnail = ?, content = ? WHERE id = ?", {"words": at.rng.randrange(900)}
    return at.run(sql, pick(at.rng, (None, b"", b"\x00\xff")), document(content), at.some("scrape_results")) > 0


def _correct_rate(at: Editor) -> bool:
    sql = "UPDATE exchange_rates SET usd_rate = usd_rate * 1.001 WHERE day = ?"
    return at.run(sql, day(at.rng.randrange(120))) > 0


def _close_account(at: Editor) -> bool:
    """What belongs to the account goes with it."""
    return at.run("DELETE FROM accounts WHERE id = ?", at.some("accounts")) > 0


def _forget_events(at: Editor) -> bool:
    """By what they say: nothing else tells one row of a log from another."""
    sql = "DELETE FROM event_log WHERE at = (SELECT min(at) FROM event_log WHERE at >= ?)"
    return at.run(sql, some_time(at.rng)) > 0


def _end_session(at: Editor) -> bool:
    found = "SELECT token FROM login_sessions WHERE token >= ? ORDER BY token LIMIT 1"
    return at.run(f"DELETE FROM login_sessions WHERE token = ({found})", at.rng.randbytes(16)) > 0  # noqa: S608 - constant


def _renumber_account(at: Editor) -> bool:
    """The key changes and every reference follows."""
    sql = "UPDATE accounts SET id = ?, updated_at = ? WHERE id = ?"
    return at.run(sql, at.next_key("accounts"), at.now(), at.some("accounts")) > 0


def _rename_rule(at: Editor) -> bool:
    code = at.one("SELECT code FROM compliance_rules ORDER BY code LIMIT 1 OFFSET ?", at.rng.randrange(20))
    free = f"X-{at.rng.getrandbits(40):010x}"
    return at.run("UPDATE compliance_rules SET code = ? WHERE code = ?", free, code) > 0


def _move_rate(at: Editor) -> bool:
    """A key change in a table without row ids: a rate moves to the day before the currency's first."""
    read = "SELECT currency, day FROM exchange_rates ORDER BY day, currency LIMIT 1 OFFSET ?"
    rate = at.row(read, at.rng.randrange(2000))
    if rate is None:
        return False
    first = at.one("SELECT min(day) FROM exchange_rates WHERE currency = ?", rate[0])
    free = date.fromisoformat(str(first)) - timedelta(days=1)
    return at.run("UPDATE exchange_rates SET day = ? WHERE currency = ? AND day = ?", free.isoformat(), *rate) > 0


DATA_CHANGES: Changes = (
    Change("insert", 8, _sign_up),
    Change("insert", 8, _scrape),
    Change("insert", 8, _log),
    Change("update", 8, _move_house),
    Change("update", 2, _lose_home),
    Change("update", 1, _swap_emails),
    Change("update", 6, _cancel),
    Change("update", 6, _drop_thumbnail),
    Change("update", 1, _correct_rate),
    Change("delete", 2, _close_account),
    Change("delete", 4, _forget_events),
    Change("delete", 4, _end_session),
    Change("rekey", 2, _renumber_account),
    Change("rekey", 1, _rename_rule),
    Change("rekey", 1, _move_rate),
)
