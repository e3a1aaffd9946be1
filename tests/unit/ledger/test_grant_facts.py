"""Facts of the kinds that negotiation writes."""

from __future__ import annotations

import pytest

from ownerd.ledger.facts import require_facts
from ownerd.model.errors import Malformed
from ownerd.model.names import Kind

UNTIL = "2026-12-23T14:00:00.123Z"
GRANT = {"until": UNTIL, "count": 1, "per_hour": 1}


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        (Kind.GRANT, GRANT),
        (Kind.GRANT, {"until": UNTIL, "count": 100_000, "per_hour": 3600}),
        (Kind.RECEIPT, {"entry": 4}),
        (Kind.OFFER, {}),
        (Kind.REQUEST, {}),
        (Kind.PROVIDER_PINNED, {}),
        (Kind.KEY_ROTATED, {}),
    ],
)
def test_facts_of_each_kind(kind, facts):
    require_facts(kind, facts)


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        (Kind.GRANT, {}),
        (Kind.GRANT, None),
        (Kind.GRANT, {**GRANT, "claims": 1}),
        (Kind.GRANT, {**GRANT, "count": 0}),
        (Kind.GRANT, {**GRANT, "count": 100_001}),
        (Kind.GRANT, {**GRANT, "count": True}),
        (Kind.GRANT, {**GRANT, "per_hour": 0}),
        (Kind.GRANT, {**GRANT, "per_hour": 3601}),
        (Kind.GRANT, {**GRANT, "per_hour": "1"}),
        (Kind.GRANT, {**GRANT, "until": "2026-12-23"}),
        (Kind.GRANT, {**GRANT, "until": "2026-12-23T14:00:00Z"}),
        (Kind.GRANT, {**GRANT, "until": "2026-12-23T14:00:00.123+00:00"}),
        (Kind.GRANT, {**GRANT, "until": "2026-02-30T14:00:00.123Z"}),
        (Kind.GRANT, {**GRANT, "until": 1}),
        (Kind.GRANT, {"until": UNTIL, "count": 1}),
        (Kind.GRANT, {"until": UNTIL, "per_hour": 1}),
        (Kind.GRANT, {"count": 1, "per_hour": 1}),
        (Kind.RECEIPT, {}),
        (Kind.RECEIPT, {"entry": -1}),
        (Kind.RECEIPT, {"entry": 1.5}),
        (Kind.RECEIPT, {"entry": 4, "provider": "shop.example"}),
        (Kind.OFFER, {"round": 1}),
        (Kind.PROVIDER_PINNED, {"provider": "shop.example"}),
        (Kind.KEY_ROTATED, {"provider": "shop.example"}),
    ],
)
def test_other_facts_are_refused(kind, facts):
    with pytest.raises(Malformed):
        require_facts(kind, facts)
