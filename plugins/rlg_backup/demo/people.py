"""Made-up people: names, addresses and numbers in the manner of their country.

Faker is slow, so it fills a pool for each locale once, and rows combine the pool's values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from random import Random
from typing import Any
from zlib import crc32

from ..core.errors import ConfigurationError
from .chance import pick
from .geography import Geography

POOL = 160  # values of each kind for each locale


@dataclass(frozen=True)
class Pool:
    """What Faker made for one locale."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    users: tuple[str, ...]
    phones: tuple[str, ...]
    streets: tuple[str, ...]


class People:
    """People by country code; the empty code is nowhere in particular."""

    def __init__(self, seed: int, settings: Mapping[str, Any], geography: Geography) -> None:
        self._seed, self._geography = seed, geography
        self._locales: Mapping[str, str] = settings["locales"]
        self._own_phones: frozenset[str] = frozenset(settings["own_phones"])
        self._default: str = settings["default"]
        self._domains: tuple[str, ...] = tuple(settings["domains"])
        self._pools: dict[str, Pool] = {}

    def name(self, rng: Random, country: str) -> str:
        pool = self._pool(country)
        return f"{pick(rng, pool.first_names)} {pick(rng, pool.last_names)}"

    def email(self, rng: Random, country: str, number: int) -> str:
        """Unique for each ``number``."""
        return f"{pick(rng, self._pool(country).users)}.{number}@{pick(rng, self._domains)}"

    def phone(self, rng: Random, country: str) -> str:
        """As the country writes it where Faker knows how, sometimes; otherwise with the country's prefix."""
        if country in self._own_phones and rng.random() < 0.6:
            return pick(rng, self._pool(country).phones)
        dial = self._geography.countries[country].dial if country else ""
        digits = f"{int(rng.random() * 10**9):09d}"
        return f"{'+' + dial if dial else '0'} {digits[:2]} {digits[2:5]} {digits[5:]}"

    def street(self, rng: Random, country: str) -> str:
        return pick(rng, self._pool(country).streets)

    def ip(self, rng: Random) -> str:
        """One in five is IPv6."""
        if rng.random() < 0.2:
            return str(IPv6Address(0x20010DB8 << 96 | rng.getrandbits(96)))  # RFC 3849: documentation
        bits = rng.getrandbits(32)
        return f"{11 + bits % 160}.{bits >> 8 & 255}.{bits >> 16 & 255}.{bits >> 24}"

    def fill(self, rng: Random, text: str, country: str, plan: str) -> str:
        """Puts a person into a text that asks for one."""
        if "{" not in text:
            return text
        return text.format(
            name=self.name(rng, country),
            email=self.email(rng, country, int(rng.random() * 100_000)),
            phone=self.phone(rng, country),
            plan=plan,
        )

    def _pool(self, country: str) -> Pool:
        locale = self._locales.get(country, self._default)
        if locale not in self._pools:
            self._pools[locale] = self._make(locale)
        return self._pools[locale]

    def _make(self, locale: str) -> Pool:
        try:
            from faker import Faker
        except ImportError as error:
            raise ConfigurationError(
                "generate", "people", "the package Faker is not installed", "install the extra 'demo'"
            ) from error
        faker = Faker(locale, use_weighting=False)
        # A locale's pool depends on the seed and its name, not on which country came first.
        faker.seed_instance(crc32(f"{self._seed}/{locale}".encode()))
        times = range(POOL)
        return Pool(
            tuple(faker.first_name() for _ in times),
            tuple(faker.last_name() for _ in times),
            tuple(faker.user_name() for _ in times),
            tuple(faker.phone_number() for _ in times),
            tuple(faker.street_address().replace("\n", ", ") for _ in times),
        )
