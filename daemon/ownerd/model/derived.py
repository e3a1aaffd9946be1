"""Derived claims: what can be said of a stored claim without giving it away.

`age_over_18` and `age_over_21` (booleans) and `age_birth_year` (an integer), all from ``birthdate``: ISO 8601
``YYYY-MM-DD``, or ``YYYY`` alone, or ``0000-MM-DD`` where the year is not told (OpenID Connect Core 1.0, 5.1). Only
what is certain is said: a year alone tells no age in the year of the birthday in question, and no year tells none.
Who was born on 29 February is a year older on 1 March of common years: an age is never said too early.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from ownerd.model.claim import DERIVED_LABELS, Claim
from ownerd.model.encoding import Json
from ownerd.model.offer import Form, OfferedClaim

BASIS: Final[dict[str, str]] = dict.fromkeys(DERIVED_LABELS, "birthdate")

_AGES: Final = {"age_over_18": 18, "age_over_21": 21}
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2}))?", re.ASCII)


def is_birthdate(value: str) -> bool:
    """Whether ``value`` is what OpenID Connect Core 1.0, section 5.1 says: YYYY-MM-DD (0000: without year), or YYYY."""
    match = _DATE.fullmatch(value)
    if match is None or match[2] is None:
        return match is not None
    try:
        # A leap year, where the year is left out.
        date(int(match[1]) or 2000, int(match[2]), int(match[3]))
    except ValueError:
        return False
    return True


def derive(name: str, claims: Mapping[str, Claim], today: date) -> OfferedClaim | None:
    """Compute ``name`` on the day ``today``; None where it is no derived claim or cannot be said for certain.

    Version and source are those of the basis. The value of an age changes with time while its version does not.
    """
    basis = claims.get(BASIS.get(name, ""))
    if basis is None:
        return None
    value = _value(name, basis.value, today)
    if value is None:
        return None
    return OfferedClaim(name, value, basis.version, basis.source, Form.DERIVED)


def _value(name: str, birthdate: Json, today: date) -> bool | int | None:
    match = _DATE.fullmatch(birthdate) if isinstance(birthdate, str) else None
    if match is None or match[1] == "0000":
        return None
    year = int(match[1])
    if match[2] is None:
        # Born on 1 January at the earliest, on 31 December at the latest.
        least, most = today.year - year - 1, today.year - year
    else:
        try:
            born = date(year, int(match[2]), int(match[3]))
        except ValueError:
            return None
        least = most = today.year - year - ((today.month, today.day) < (born.month, born.day))
    if most < 0:
        return None
    if name == "age_birth_year":
        return year
    years = _AGES[name]
    return None if least < years <= most else least >= years
