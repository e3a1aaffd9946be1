"""What it costs an owner to give a claim away: the measure by which negotiation compares what would satisfy.

Small whole numbers, read as an order and a rough sum: 1 says next to nothing, 3 narrows down, 6 reaches or shows a
person, more is hard to change or tells much at once. A whole (``name``, ``address.formatted``) costs what its parts
do, so that taking a thing apart never looks cheaper than it is. No cost is 0: of two sets, one inside the other, the
smaller is the cheaper one.
"""

from __future__ import annotations

from typing import Final

from ownerd.model.offer import Form, OfferedClaim

COSTS: Final[dict[str, int]] = {
    "address.country": 1,
    "age_over_18": 1,
    "age_over_21": 1,
    "locale": 1,
    "zoneinfo": 1,
    "address.region": 2,
    "nickname": 2,
    "address.locality": 3,
    "age_birth_year": 3,
    "given_name": 3,
    "middle_name": 3,
    "preferred_username": 3,
    "address.postal_code": 4,
    "family_name": 4,
    "gender": 4,
    "profile": 4,
    "website": 4,
    "email": 6,
    "phone_number": 7,
    "picture": 7,
    "address.street_address": 8,
    "birthdate": 8,
    "name": 10,
    "address.formatted": 18,
}
UNKNOWN: Final = 8  # a claim that is not in the table
MADE: Final = 1  # an alias, or a value that the owner wrote for this provider: nobody else knows it


def cost(claim: OfferedClaim) -> int:
    """What ``claim`` costs, at least 1."""
    if claim.form in (Form.ALIAS, Form.SET):
        return MADE
    return COSTS.get(claim.name, UNKNOWN)
