"""Claims: one named datum of the owner, and the names it may have.

Names are OpenID Connect Core 1.0 section 5.1 standard claims; members of ``address`` are written with a
dot (``address.locality``), everywhere but in DCQL and SD-JWT, where they are paths.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct

from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument

MAX_VALUE_BYTES: Final = 16 * 1024

LABELS: Final[dict[str, str]] = {
    "name": "full name",
    "given_name": "given name",
    "family_name": "family name",
    "middle_name": "middle name",
    "nickname": "nickname",
    "preferred_username": "preferred user name",
    "profile": "profile page",
    "picture": "picture",
    "website": "website",
    "email": "e-mail",
    "gender": "gender",
    "birthdate": "date of birth",
    "zoneinfo": "time zone",
    "locale": "language",
    "phone_number": "phone number",
    "address.formatted": "full postal address",
    "address.street_address": "street and number",
    "address.locality": "town",
    "address.region": "region",
    "address.postal_code": "postal code",
    "address.country": "country",
}

# Computed from what is stored, never stored themselves (`ownerd.model.derived`).
DERIVED_LABELS: Final[dict[str, str]] = {
    "age_over_18": "whether you are 18 or older",
    "age_over_21": "whether you are 21 or older",
    "age_birth_year": "year of birth",
}

ADDRESS: Final = "address"
# What can be asked for and held back; the address stands for all of its members.
OFFERED: Final = (*LABELS, ADDRESS, *DERIVED_LABELS)


class Claim(Struct, frozen=True):
    """One datum: ``changed`` is an RFC 3339 UTC time, ``version`` counts from 1."""

    name: str
    value: Json
    source: str
    changed: str
    version: int

    @property
    def path(self) -> tuple[str, ...]:
        """DCQL path of this claim."""
        return claim_path(self.name)


def claim_path(name: str) -> tuple[str, ...]:
    """``address.locality`` → ``("address", "locality")``."""
    return tuple(name.split("."))


def claim_name(path: tuple[str, ...]) -> str:
    """Inverse of `claim_path`."""
    return ".".join(path)


def claim_label(name: str) -> str:
    """Plain words for a claim name."""
    return LABELS.get(name) or DERIVED_LABELS.get(name, name)


def require_offered_name(name: str) -> str:
    """Return ``name`` of a claim that can be asked for and held back. Raises `InvalidArgument`."""
    return _require(name, OFFERED)


def require_claim_name(name: str) -> str:
    """Return ``name`` of a claim that can be stored. Raises `InvalidArgument` for one that is not in the table."""
    return _require(name, LABELS)


def _require(name: str, known: Collection[str]) -> str:
    if name not in known:
        raise InvalidArgument(f"unknown claim {name[:40]!r}; known are {', '.join(known)}")
    return name
