"""RLG Fans: newsletter distribution, the RLG Agent Chat Bot, the access log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .chance import document, number, pick, some_time
from .data_operations import mixed
from .fans_accounts import CREATORS, fan_emails
from .platform import Platform, Rows, Value, country_of

_NEWSLETTERS = 0.02  # for each account of RLG Data
_LONGEST_CHAT = 12  # messages


def contact_rows(platform: Platform) -> Iterator[Rows]:
    """The tables in the order their references need."""
    columns: tuple[str, ...] = ("slug", "creator_id", "subject", "template", "segment", "sent_at")
    yield Rows("newsletters", columns, _newsletters(platform))
    columns = ("id", "newsletter", "fan_id", "email", "status", "delivered_at")
    yield Rows("newsletter_deliveries", columns, _deliveries(platform))
    columns = ("id", "fan_id", "channel", "satisfaction", "opened_at")
    yield Rows("chat_conversations", columns, _conversations(platform))
    columns = ("conversation_id", "position", "sender", "body", "intent", "confidence", "sent_at")
    yield Rows("chat_messages", columns, _messages(platform))
    yield Rows("access_log", ("at", "path", "status", "fan_id", "ip", "user_agent", "detail"), _accesses(platform))


def newsletter_subjects(platform: Platform) -> Iterator[tuple[str, str, str]]:
    """Slug, subject and template path of each newsletter: also the list of the templates of the tree."""
    rng = platform.rng("newsletters/subjects")
    for key in range(1, platform.count(_NEWSLETTERS) + 1):
        slug = f"2026-{1 + key % 8:02d}-{key:04d}"
        yield slug, pick(rng, platform.words("subjects")), f"templates/newsletters/{slug}.html"


def _newsletters(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, creators = platform.rng("newsletters"), platform.count(CREATORS)
    for slug, subject, template in newsletter_subjects(platform):
        creator = number(rng, creators) if rng.random() < 0.8 else None
        segment = document({"who": pick(rng, platform.words("segments")), "languages": ["en", "sw"]})
        yield slug, creator, subject, template, segment, some_time(rng) if rng.random() < 0.9 else None


def _deliveries(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, emails, key = platform.rng("newsletter_deliveries"), fan_emails(platform), 0
    slugs = [slug for slug, _, _ in newsletter_subjects(platform)]
    fans, each = range(1, len(emails) + 1), min(len(emails), 1 + platform.count(3) // len(slugs))
    for slug in slugs:
        for fan in rng.sample(fans, each):
            key += 1
            status = pick(rng, ("sent", "sent", "opened", "clicked", "bounced"))
            yield key, slug, fan, emails[fan - 1], status, some_time(rng)


def _conversations(platform: Platform) -> Iterator[Sequence[Value]]:
    rng = platform.rng("chat_conversations")
    for key, fan in enumerate(_talkers(platform), 1):
        satisfaction = rng.random() if rng.random() < 0.4 else None
        yield key, fan, pick(rng, platform.words("chat_channels")), satisfaction, some_time(rng)


def _talkers(platform: Platform) -> Iterator[int | None]:
    """The fan of each conversation, none for a visitor."""
    rng, fans = platform.rng("chat_conversations/fans"), len(platform.fans)
    for _ in range(platform.count(0.5)):
        yield number(rng, fans) if rng.random() < 0.9 else None


def _messages(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, people, homes = platform.rng("chat_messages"), platform.people, platform.fans
    said = {"fan": platform.words("chat_fan"), "bot": platform.words("chat_bot")}
    plans = [plan["name"] for plan in platform.reference.wording["plans"]]
    for conversation, fan in enumerate(_talkers(platform), 1):
        country = country_of(homes[fan - 1]) if fan else ""
        for position in range(1, number(rng, _LONGEST_CHAT) + 1):
            sender = "fan" if position % 2 else "bot"
            body = people.fill(rng, pick(rng, said[sender]), country, pick(rng, plans))
            intent = pick(rng, platform.words("intents")) if sender == "fan" else None
            yield conversation, position, sender, body, intent, rng.random() if intent else None, some_time(rng)


def _accesses(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, fans = platform.rng("access_log"), len(platform.fans)
    for _ in range(platform.count(2)):
        path, status = pick(rng, platform.words("paths")), pick(rng, (200, 200, 200, 304, 404, 500))
        fan, agent = number(rng, fans) if rng.random() < 0.7 else None, pick(rng, platform.words("user_agents"))
        row = (some_time(rng), path, status, fan, platform.people.ip(rng), agent, mixed(rng))
        yield row
        if rng.random() < 0.02:
            yield row  # a log may say the same thing twice
