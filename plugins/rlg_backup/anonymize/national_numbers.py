"""Numbers that a state or a bank gives to a person, told by their check digits: by python-stdnum, loaded when asked.

Of most of these one plain number in ten passes, so a column counts, not a cell: nearly all of its values must pass for
one country. Only those that a person has: not numbers of companies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import cache
from importlib import import_module
from typing import Final

FEWEST: Final = 8  # distinct values: of so many plain numbers none passes a check digit in 10^8 tries
_MOST: Final = 20  # that are tried
_PASSING: Final = 0.9  # of these, at least: people mistype
_SHAPE: Final = re.compile(r"[0-9A-Z][0-9A-Z .\-/]{7,24}")

NUMBERS: Final = (
    "il.idnr", "za.idnr", "mu.nid", "br.cpf", "cl.rut", "ec.ci", "mx.curp", "in_.aadhaar", "in_.pan", "cn.ric",
    "kr.rrn", "tr.tckimlik", "us.ssn", "ca.sin", "gb.nhs", "fr.nir", "de.idnr", "es.dni", "es.nie", "it.codicefiscale",
    "nl.bsn", "be.nn", "ch.ssn", "pl.pesel", "cz.rc", "ro.cnp", "bg.egn", "hr.oib", "gr.amka", "se.personnummer",
    "no.fodselsnummer", "fi.hetu", "ee.ik", "lt.asmens", "is_.kennitala",
)  # fmt: skip
"""Modules of ``stdnum``. Not there: numbers with a date and no check digit, which order numbers look like."""
_DASHED: Final = frozenset({"us.ssn"})  # has no check digit either: only as people write it


def country_number(values: Collection[str]) -> str | None:
    """Which of NUMBERS nearly all of these distinct values are; None where none, or where they are too few to tell."""
    tried = [value.strip().upper() for value in values][:_MOST]
    if len(tried) < FEWEST or not all(_SHAPE.fullmatch(value) and _digits(value) >= 6 for value in tried):
        return None
    dashed = all("-" in value for value in tried)
    return next((name for name in NUMBERS if (dashed or name not in _DASHED) and _pass(_check(name), tried)), None)


def is_iban(text: str) -> bool:
    """Whether a text is an International Bank Account Number of a country that has them, by length and check digits."""
    return _check("iban")(text)


def _pass(check: Callable[[str], bool], values: Collection[str]) -> bool:
    missing = (1 - _PASSING) * len(values)
    for value in values:
        missing -= not check(value)
        if missing < 0:
            return False
    return True


def _digits(value: str) -> int:
    return sum(character.isdigit() for character in value)


@cache
def _check(name: str) -> Callable[[str], bool]:
    check: Callable[[str], bool] = import_module(f"stdnum.{name}").is_valid
    return check
