"""RLG Fans: fan accounts, creators, subscriptions, payments, monetization strategies, payouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .chance import HISTORY, day, document, instant, number, pick, some_time
from .media import png
from .platform import Platform, Rows, Value, country_of

CREATORS, STRATEGIES = 0.05, 0.1  # for each account of RLG Data
_PAYMENT_KINDS = ("subscription", "subscription", "subscription", "tip", "refund")
_AVATARS = 32


def fan_rows(platform: Platform) -> Iterator[Rows]:
    """The tables in the order their references need."""
    yield Rows(
        "fan_accounts",
        ("id", "display_name", "email", "phone", "birth_date", "town_id", "avatar", "created_at", "updated_at"),
        _fans(platform),
    )
    yield Rows(
        "creators",
        ("id", "handle", "legal_name", "email", "bank_account", "city_id", "plan", "rating", "profile", "joined_at"),
        _creators(platform),
    )
    yield Rows(
        "fan_subscriptions",
        ("fan_id", "creator_id", "plan", "period", "amount_cents", "status", "since"),
        _subscriptions(platform),
    )
    columns: tuple[str, ...] = ("id", "fan_id", "creator_id", "kind", "amount_cents", "message", "paid_at")
    yield Rows("fan_payments", columns, _payments(platform))
    columns = ("id", "creator_id", "kind", "parameters", "expected_uplift", "active")
    yield Rows("monetization_strategies", columns, _strategies(platform))
    columns = ("strategy_id", "week", "conversions", "revenue_cents", "uplift")
    yield Rows("strategy_results", columns, _results(platform))
    yield Rows("payouts", ("id", "creator_id", "gross_cents", "share_permille", "paid_at"), _payouts(platform))


def fan_emails(platform: Platform) -> list[str]:
    """The address of each fan; the fan's id is the place from 1."""
    rng = platform.rng("fan_accounts/emails")
    return [platform.people.email(rng, country_of(home), key) for key, home in enumerate(platform.fans, 1)]


def _fans(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, people = platform.rng("fan_accounts"), platform.people
    avatars = [png(rng, 8) for _ in range(_AVATARS)]
    for key, (home, email) in enumerate(zip(platform.fans, fan_emails(platform), strict=True), 1):
        country, created = country_of(home), int(rng.random() * HISTORY)
        yield (
            key,
            people.name(rng, country),
            email,
            people.phone(rng, country) if rng.random() < 0.5 else None,
            day(6600 + number(rng, 18_000)) if rng.random() < 0.8 else None,
            home.id if home else None,
            pick(rng, avatars) if rng.random() < 0.3 else None,
            instant(created),
            instant(int(created * rng.random())),
        )


def _creators(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, people, cities = platform.rng("creators"), platform.people, platform.geography.cities
    plans = [plan["code"] for plan in platform.reference.wording["plans"]]
    for key in range(1, platform.count(CREATORS) + 1):
        city = pick(rng, cities) if rng.random() < 0.95 else None
        country, genre = city.country if city else "", pick(rng, platform.words("genres"))
        name = people.name(rng, country)
        bank = f"{pick(rng, platform.words('bank_prefixes'))}{rng.getrandbits(66):020d}"
        yield (
            key,
            f"{genre}_{rng.getrandbits(20):05x}_{key}",
            name,
            people.email(rng, country, key),
            bank,
            city.id if city else None,
            pick(rng, plans),
            round(rng.random() * 5, 2) if rng.random() < 0.8 else None,
            document({"about": f"{name}: {genre}", "genre": genre, "live": rng.random() < 0.5}),
            some_time(rng),
        )


def _subscriptions(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, creators = platform.rng("fan_subscriptions"), range(1, platform.count(CREATORS) + 1)
    for fan, home in enumerate(platform.fans, 1):
        for creator in rng.sample(creators, min(len(creators), int(rng.random() * 4))):
            price, status = platform.offer(rng, home), pick(rng, ("active", "active", "paused", "cancelled"))
            yield fan, creator, price.plan, price.period, price.amount_cents, status, some_time(rng)


def _payments(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, homes, creators = platform.rng("fan_payments"), platform.fans, platform.count(CREATORS)
    for key in range(1, platform.count(3) + 1):
        fan, kind = number(rng, len(homes)), pick(rng, _PAYMENT_KINDS)
        home, message = homes[fan - 1], None
        cents = platform.offer(rng, home).amount_cents
        if kind == "tip":
            cents = 100 * number(rng, 50)
            message = platform.people.fill(rng, pick(rng, platform.words("tips")), country_of(home), "")
        yield key, fan, number(rng, creators), kind, -cents if kind == "refund" else cents, message, some_time(rng)


def _strategies(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, creators = platform.rng("monetization_strategies"), platform.count(CREATORS)
    for key in range(1, platform.count(STRATEGIES) + 1):
        parameters = document({"discount": number(rng, 40), "weeks": number(rng, 12)})
        kind, uplift = pick(rng, platform.words("strategies")), rng.random() / 4
        yield key, number(rng, creators), kind, parameters, uplift, int(rng.random() < 0.6)


def _results(platform: Platform) -> Iterator[Sequence[Value]]:
    rng = platform.rng("strategy_results")
    for strategy in range(1, platform.count(STRATEGIES) + 1):
        for week in range(number(rng, 8)):
            uplift = rng.random() / 3 - 0.05 if rng.random() < 0.9 else None
            yield strategy, day(7 * week), number(rng, 200), 100 * number(rng, 5000), uplift


def _payouts(platform: Platform) -> Iterator[Sequence[Value]]:
    rng, creators = platform.rng("payouts"), platform.count(CREATORS)
    for key in range(1, platform.count(0.5) + 1):
        yield key, number(rng, creators), number(rng, 400_000), pick(rng, (700, 800, 850)), some_time(rng)
