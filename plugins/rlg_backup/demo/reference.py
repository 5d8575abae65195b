"""The fixed data of the demo platform, read from the project's ``include`` folder.

The folder is an argument: the package may be installed where ``include`` is not, so only the caller
(the command line, a DAG, a test) knows where it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import ConfigurationError

GLOBAL_TIER = "global"  # what a customer without a known place pays


@dataclass(frozen=True)
class Price:
    """One row of the price table. ``amount_cents`` is in the table's currency."""

    plan: str
    tier: str
    period: str
    amount_cents: int
    locked: bool


@dataclass(frozen=True)
class PriceTable:
    """include/config/pricing.yaml."""

    version: int
    currency: str
    prices: tuple[Price, ...]

    def of(self, tier: str) -> tuple[Price, ...]:
        """What is sold in a tier, in the order of the file."""
        return tuple(price for price in self.prices if price.tier == tier)


@dataclass(frozen=True)
class Region:
    """A region: ``countries`` by name, or the rest of a ``continent`` (GeoNames code)."""

    code: str
    name: str
    tier: str
    countries: tuple[str, ...] = ()
    continent: str = ""


@dataclass(frozen=True)
class Reference:
    """All fixed data. ``wording`` and ``people`` are the YAML as it is; ``newsletter`` is a template."""

    prices: PriceTable
    regions: tuple[Region, ...]
    dissolved: frozenset[str]
    people: Mapping[str, Any]
    wording: Mapping[str, Any]
    newsletter: str
    definitions: Mapping[str, str]  # database > SQL


def load_reference(include: Path, databases: Sequence[str], kind: str) -> Reference:
    """Reads the fixed data, and the definitions for a kind of database.

    Raises ConfigurationError naming the file that is missing or wrong.
    """
    pricing, regions = _yaml(include / "config" / "pricing.yaml"), _yaml(include / "config" / "regions.yaml")
    demo = include / "demo"
    shared = _text(demo / kind / "shared.sql")
    try:
        prices = PriceTable(
            int(pricing["version"]), str(pricing["currency"]), tuple(Price(**row) for row in pricing["prices"])
        )
        table = tuple(Region(**{**row, "countries": tuple(row.get("countries", ()))}) for row in regions["regions"])
        dissolved = frozenset(regions["dissolved"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            "read", "include/config", f"pricing.yaml or regions.yaml has another shape ({type(error).__name__})"
        ) from error
    unpriced = sorted({region.tier for region in table} - {price.tier for price in prices.prices})
    if unpriced:
        raise ConfigurationError("read", "include/config/pricing.yaml", f"tier {unpriced[0]} has no price")
    return Reference(
        prices,
        table,
        dissolved,
        _yaml(demo / "people.yaml"),
        _yaml(demo / "wording.yaml"),
        _text(demo / "newsletter.html"),
        {name: shared + _text(demo / kind / f"{name}.sql") for name in databases},
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "read", str(path), "the demo platform's fixed data cannot be read", "name the project's include folder"
        ) from error


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise ConfigurationError("read", str(path), "it is not YAML") from error
    if not isinstance(value, dict):
        raise ConfigurationError("read", str(path), "it holds no mapping")
    return value
