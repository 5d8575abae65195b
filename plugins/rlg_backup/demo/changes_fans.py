"""Changes to RLG Fans. Every change keeps the references, checks and price locks of the schema."""

from __future__ import annotations

from .chance import pick, some_time
from .data_operations import mixed
from .editor import Change, Changes, Editor
from .media import png
from .platform import Value


def _join(at: Editor) -> bool:
    rng, key = at.rng, at.next_key("fan_accounts")
    like = at.row("SELECT display_name, email FROM fan_accounts WHERE id = ?", at.some("fan_accounts"))
    name, email = like or ("Ada Example", "ada@example.com")
    user, _, domain = email.partition("@")
    return at.insert(
        "fan_accounts",
        id=key,
        display_name=name,
        email=f"{user}.{rng.getrandbits(48):x}@{domain}",
        town_id=at.some("geo_towns") if rng.random() < 0.95 else None,
        created_at=at.now(),
        updated_at=at.now(),
    )


def _subscribe(at: Editor) -> bool:
    fan, creator = at.some("fan_accounts"), at.some("creators")
    sql = "SELECT 1 FROM fan_subscriptions WHERE fan_id = ? AND creator_id = ?"
    if fan is None or creator is None or at.one(sql, fan, creator):
        return False
    plan, period, cents = at.offer(at.one("SELECT town_id FROM fan_accounts WHERE id = ?", fan))
    terms: dict[str, Value] = {"plan": plan, "period": period, "amount_cents": cents}
    at.insert("fan_subscriptions", fan_id=fan, creator_id=creator, **terms, status="active", since=at.now())
    return at.insert(
        "fan_payments", fan_id=fan, creator_id=creator, kind="subscription", amount_cents=cents, paid_at=at.now()
    )


def _say(at: Editor) -> bool:
    talk = at.some("chat_conversations")
    if talk is None:
        return False
    place = at.one("SELECT coalesce(max(position), 0) + 1 FROM chat_messages WHERE conversation_id = ?", talk)
    said = pick(at.rng, ("Are you still there?", "עוד שאלה אחת", "👍🏽", "line one\nline two"))
    row: dict[str, Value] = {"conversation_id": talk, "position": place, "sender": "fan", "body": said}
    return at.insert("chat_messages", **row, sent_at=at.now())


def _visit(at: Editor) -> bool:
    return at.insert("access_log", at=at.now(), path="/live", status=200, ip="192.0.2.7", detail=mixed(at.rng))


def _rename_fan(at: Editor) -> bool:
    sql = "UPDATE fan_accounts SET display_name = display_name || ' II', updated_at = ? WHERE id = ?"
    return at.run(sql, at.now(), at.some("fan_accounts")) > 0


def _new_avatar(at: Editor) -> bool:
    sql = "UPDATE fan_accounts SET avatar = ?, updated_at = ? WHERE id = ?"
    return at.run(sql, png(at.rng, 8), at.now(), at.some("fan_accounts")) > 0


def _open_mail(at: Editor) -> bool:
    sql = "UPDATE newsletter_deliveries SET status = 'opened', delivered_at = ? WHERE id = ?"
    return at.run(sql, at.now(), at.some("newsletter_deliveries")) > 0


def _correct_message(at: Editor) -> bool:
    """A row of a table without row ids, by its two-part key."""
    talk = at.some("chat_messages", "conversation_id")
    edit = "UPDATE chat_messages SET body = body || ' (edited)', confidence = NULL"
    return at.run(f"{edit} WHERE conversation_id = ? AND position = 1", talk) > 0


def _switch_strategy(at: Editor) -> bool:
    sql = "UPDATE monetization_strategies SET active = NOT active, expected_uplift = expected_uplift / 3 WHERE id = ?"
    return at.run(sql, at.some("monetization_strategies")) > 0


def _end_talk(at: Editor) -> bool:
    return at.run("DELETE FROM chat_conversations WHERE id = ?", at.some("chat_conversations")) > 0


def _unsubscribe(at: Editor) -> bool:
    fan = at.some("fan_subscriptions", "fan_id")
    return at.run("DELETE FROM fan_subscriptions WHERE fan_id = ?", fan) > 0


def _forget_visits(at: Editor) -> bool:
    """By what they say: nothing else tells one row of a log from another."""
    sql = "DELETE FROM access_log WHERE at = (SELECT min(at) FROM access_log WHERE at >= ?)"
    return at.run(sql, some_time(at.rng)) > 0


def _leave(at: Editor) -> bool:
    """A creator goes: some of what refers to them goes too, some is set to NULL, and the trigger logs it."""
    return at.run("DELETE FROM creators WHERE id = ?", at.some("creators")) > 0


def _renumber_fan(at: Editor) -> bool:
    sql = "UPDATE fan_accounts SET id = ?, updated_at = ? WHERE id = ?"
    return at.run(sql, at.next_key("fan_accounts"), at.now(), at.some("fan_accounts")) > 0


def _rename_newsletter(at: Editor) -> bool:
    """A text key changes and the deliveries follow."""
    slug = at.one("SELECT slug FROM newsletters ORDER BY slug LIMIT 1 OFFSET ?", at.rng.randrange(8))
    free = f"renamed-{at.rng.getrandbits(40):010x}"
    return at.run("UPDATE newsletters SET slug = ? WHERE slug = ?", free, slug) > 0


FANS_CHANGES: Changes = (
    Change("insert", 6, _join),
    Change("insert", 6, _subscribe),
    Change("insert", 8, _say),
    Change("insert", 8, _visit),
    Change("update", 5, _rename_fan),
    Change("update", 4, _new_avatar),
    Change("update", 6, _open_mail),
    Change("update", 5, _correct_message),
    Change("update", 2, _switch_strategy),
    Change("delete", 3, _end_talk),
    Change("delete", 3, _unsubscribe),
    Change("delete", 4, _forget_visits),
    Change("delete", 1, _leave),
    Change("rekey", 2, _renumber_fan),
    Change("rekey", 1, _rename_newsletter),
)
