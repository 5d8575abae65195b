"""RLG Data: accounts, subscriptions, payments, sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple
from uuid import UUID

from .chance import HISTORY, day, document, instant, number, pick
from .geography import Town
from .platform import Platform, Rows, Value, country_of
from .reference import Price

_RATE_DAYS = 120
_ACCOUNT = (
    *("id", "uuid", "full_name", "email", "phone", "street_address", "company", "signup_ip", "town_id"),
    *("referred_by", "preferences", "status", "created_at", "updated_at"),
)


class Subscription(NamedTuple):
    id: int
    account: int
    home: Town | None
    price: Price
    seconds_ago: int


def account_rows(platform: Platform) -> Iterator[Rows]:
    """The tables in the order their references need."""
    homes = platform.homes("accounts", platform.size)
    subscriptions = list(_subscriptions(platform, homes))
    yield Rows("accounts", _ACCOUNT, _accounts(platform, homes))
    yield Rows(
        "subscriptions",
        ("id", "account_id", "plan", "period", "amount_cents", "status", "started_at", "cancelled_at", "updated_at"),
        _subscription_rows(platform, subscriptions),
    )
    yield Rows(
        "payments",
        ("id", "subscription_id", "account_id", "amount_cents", "fee_cents", "method", "payer_name", "paid_at"),
        _payments(platform, subscriptions),
    )
    yield Rows(
        "login_sessions",
        ("token", "account_id", "ip", "user_agent", "opened_at", "closed_at"),
        _sessions(platform),
    )
    yield Rows("exchange_rates", ("currency", "day", "usd_rate"), _rates(platform))


def uuid_text(rng: Random) -> str:
    """A version 4 UUID."""
    return str(UUID(int=rng.getrandbits(128), version=4))


def _accounts(platform: Platform, homes: Sequence[Town | None]) -> Iterator[Sequence[Value]]:
    rng, people = platform.rng("accounts"), platform.people
    statuses = ("active",) * 7 + ("trial", "suspended", "closed")
    for key, home in enumerate(homes, 1):
        country, created = country_of(home), int(rng.random() * HISTORY)
        preferences = {
            "channel": pick(rng, ("web", "mail", "app")),
            "dark": rng.random() < 0.3,
            "topics": rng.sample(platform.words("topics"), 2),
        }
        yield (
            key,
            uuid_text(rng),
            people.name(rng, country),
            people.email(rng, country, key),
            people.phone(rng, country) if rng.random() < 0.85 else None,
            people.street(rng, country) if rng.random() < 0.7 else None,
            pick(rng, platform.words("companies")) if rng.random() < 0.6 else None,
            people.ip(rng),
            home.id if home else None,
            number(rng, key - 1) if key > 1 and rng.random() < 0.2 else None,
            document(preferences),
            pick(rng, statuses),
            instant(created),
            instant(int(created * rng.random())),
        )


def _subscriptions(platform: Platform, homes: Sequence[Town | None]) -> Iterator[Subscription]:
    rng, key = platform.rng("subscriptions"), 0
    for account, home in enumerate(homes, 1):
        for _ in range(rng.choices((0, 1, 2), (8, 77, 15))[0]):
            key += 1
            yield Subscription(key, account, home, platform.offer(rng, home), int(rng.random() * HISTORY))


def _subscription_rows(platform: Platform, subscriptions: Sequence[Subscription]) -> Iterator[Sequence[Value]]:
    rng = platform.rng("subscriptions/status")
    for key, account, _, price, ago in subscriptions:
        status = pick(rng, ("active", "active", "active", "past_due", "cancelled"))
        changed = instant(int(ago * rng.random()))
        ended = changed if status == "cancelled" else None
        yield key, account, price.plan, price.period, price.amount_cents, status, instant(ago), ended, changed


def _payments(platform: Platform, subscriptions: Sequence[Subscription]) -> Iterator[Sequence[Value]]:
    rng, key = platform.rng("payments"), 0
    for subscription, account, home, price, ago in subscriptions:
        country, step = country_of(home), 7 if price.period == "weekly" else 30
        for turn in range(number(rng, 7)):
            key += 1
            fee = 30 + price.amount_cents * 29 // 1000
            payer, method = platform.people.name(rng, country), pick(rng, platform.words("payment_methods"))
            paid = instant(max(0, ago - turn * step * 86_400))
            yield key, subscription, account, price.amount_cents, fee, method, payer, paid


def _sessions(platform: Platform) -> Iterator[Sequence[Value]]:
    rng = platform.rng("login_sessions")
    for _ in range(platform.count(2)):
        ago, agent = int(rng.random() * HISTORY), pick(rng, platform.words("user_agents"))
        closed = instant(int(ago * 0.99)) if rng.random() < 0.9 else None
        yield rng.randbytes(16), number(rng, platform.size), platform.people.ip(rng), agent, instant(ago), closed


def _rates(platform: Platform) -> Iterator[Sequence[Value]]:
    rng = platform.rng("exchange_rates")
    for currency in platform.words("currencies"):
        rate = 0.001 + rng.random()
        for ago in range(_RATE_DAYS):
            rate *= 1 + (rng.random() - 0.5) / 50
            yield currency, day(ago), rate
