"""What the tables of both products are made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import NamedTuple

from .chance import document, pick, stream
from .geography import Geography, Town
from .people import People
from .reference import GLOBAL_TIER, Price, Reference

FANS = 1.5  # fan accounts for each account of RLG Data
Value = str | int | float | bytes | None
# How often a subscriber takes each plan, in the order of the price table; the dearest least.
_APPEAL = {"creator": 50, "pro": 30, "enterprise": 15}


class Rows(NamedTuple):
    """The rows of one table, in the order of ``columns``; read once."""

    table: str
    columns: tuple[str, ...]
    rows: Iterable[Sequence[Value]]


Maker = Callable[["Platform"], Iterable[Rows]]


@dataclass(frozen=True)
class Platform:
    """Seed, size (accounts in RLG Data) and fixed data of one platform."""

    seed: int
    size: int
    reference: Reference
    geography: Geography
    people: People

    def rng(self, table: str) -> Random:
        return stream(self.seed, table)

    def count(self, share: float) -> int:
        """Rows of a table that has ``share`` rows for each account; at least one."""
        return max(1, int(self.size * share))

    def words(self, key: str) -> Sequence[str]:
        found: Sequence[str] = self.reference.wording[key]
        return found

    @cached_property
    def _markets(self) -> tuple[tuple[tuple[str, ...], float], ...]:
        """Countries with towns, and the share of customers up to and including them: special, sadc, other."""
        of: dict[str, list[str]] = {}
        for code in self.geography.towns_of:
            of.setdefault(self.geography.countries[code].tier, []).append(code)
        others = of.pop(GLOBAL_TIER)
        shares = {tier: 0.15 if len(codes) == 1 else 0.4 for tier, codes in sorted(of.items())}
        total, markets = 0.0, []
        for tier, share in shares.items():
            total += share
            markets.append((tuple(of[tier]), total))
        return (*markets, (tuple(others), 1.0))

    def homes(self, table: str, count: int) -> list[Town | None]:
        """Where customers live. The first ones live in each country with a tier of its own; one in 25 nowhere known."""
        rng = self.rng(f"{table}/homes")
        first = [code for codes, _ in self._markets[:-1] for code in codes]
        homes: list[Town | None] = [pick(rng, self.geography.towns_of[code]) for code in first[:count]]
        while len(homes) < count:
            chance = rng.random()
            codes = next(codes for codes, share in self._markets if chance < share)
            homes.append(None if rng.random() < 0.04 else pick(rng, self.geography.towns_of[pick(rng, codes)]))
        return homes

    @cached_property
    def fans(self) -> Sequence[Town | None]:
        """The home of each fan of RLG Fans; the fan's id is the place from 1."""
        return self.homes("fan_accounts", self.count(FANS))

    @cached_property
    def _offers(self) -> dict[str, tuple[tuple[Price, ...], tuple[int, ...]]]:
        tiers = {region.tier for region in self.reference.regions}
        sold = {tier: self.reference.prices.of(tier) for tier in sorted(tiers)}
        return {tier: (rows, tuple(_APPEAL.get(row.plan, 5) for row in rows)) for tier, rows in sold.items()}

    def offer(self, rng: Random, place: Town | None) -> Price:
        """A plan for a period at the price of the place's tier."""
        prices, weights = self._offers[self.geography.tier(place)]
        return rng.choices(prices, weights)[0]


def country_of(home: Town | None) -> str:
    """The country's code, or the empty text that ``People`` takes for nowhere."""
    return home.country if home else ""


def shared_rows(platform: Platform) -> Iterable[Rows]:
    """Geography and pricing, the same in both databases."""
    reference, geography = platform.reference, platform.geography
    yield Rows("geo_regions", ("code", "name", "pricing_tier"), [(r.code, r.name, r.tier) for r in reference.regions])
    countries = geography.countries.values()
    yield Rows("geo_countries", ("code", "name", "region_code"), [(c.code, c.name, c.region) for c in countries])
    yield Rows("geo_cities", ("id", "name", "country_code", "population", "lat", "lon"), geography.cities)
    yield Rows(
        "geo_towns",
        ("id", "name", "city_id", "population"),
        [(town.id, town.name, town.city, town.population) for town in geography.towns],
    )
    plans = [(p["code"], p["name"], p["rank"], document(p["features"])) for p in reference.wording["plans"]]
    yield Rows("plans", ("code", "name", "rank", "features"), plans)
    table = reference.prices
    yield Rows(
        "prices",
        ("plan", "country_code", "period", "tier", "amount_cents", "currency", "locked", "table_version"),
        [
            (p.plan, c.code, p.period, p.tier, p.amount_cents, table.currency, int(p.locked), table.version)
            for c in countries
            for p in table.of(c.tier)
        ],
    )
