"""Row 7: a query of fifty claims: from its bytes to the offer, the negotiation alone, and under two hundred rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Final

from demo import provider_kit as kit
from msgspec.structs import replace

from bench.measure import Row, Scale, medians, timed
from bench.rig import RESPONSE_URI
from ownerd.credential.request_object import read_request
from ownerd.model.claim import LABELS, Claim
from ownerd.model.offer import KnownAsker
from ownerd.model.policy import Policy
from ownerd.model.request import Provider, Trust
from ownerd.model.terms import AskedTerms, Terms
from ownerd.negotiation.negotiate import negotiate
from ownerd.negotiation.policy_text import parse_policy

CLAIMS: Final = 50
RULES: Final = 200
TIMES: Final = 20
TODAY: Final = date(2026, 11, 23)
SHOP: Final = Provider(Trust.VERIFIED, "x509_san_dns:shop.example", "shop.example", "key", "anchor")
PURPOSE: Final = "dpv:DeliveryOfGoods"


def policy() -> Policy:
    """Rules of every kind; a quarter is about others, and none ends the search early."""
    stored = list(LABELS)
    text = ["version = 1", "[alias]", 'mailbox = "me@example.org"']
    for number in range(RULES):
        claim = stored[number % len(stored)]
        text += [
            "[[rule]]",
            (
                f'provider = "shop{number}.example"\nclaims = ["email", "address.*"]\ndo = "refuse"',
                f'purpose = "{PURPOSE}"\nclaims = ["{claim}"]\ndo = "allow"',
                f'provider = "shop.example"\nclaims = ["{claim}", "address.*"]\ndo = "ask"',
                'provider = "*.shop.example"\npurpose = "dpv:Marketing"\ndo = "refuse"',
            )[number % 4],
        ]
    return parse_policy("\n".join(text))


def rows(scale: Scale) -> Iterator[Row]:
    """All fifty are there, among as many that are not asked for."""
    names = [*LABELS, *(f"claim_{number}" for number in range(CLAIMS - len(LABELS)))]
    time = "2026-11-23T14:00:00.123Z"
    catalogue = {
        name: Claim(name, "value", "bench", time, 1) for name in [*names, *(f"other_{one}" for one in names)]
    }
    text = kit.unsigned_request(
        kit.parameters(f"redirect_uri:{RESPONSE_URI}", RESPONSE_URI, names, kit.new_encryption_key())
    )
    request = read_request(text, anchors=[], now_ms=0)
    asked = (AskedTerms(Terms((PURPOSE,), 30, ()), ("owner",), "encoded"),)
    shops = replace(request, provider=SHOP, terms=asked)
    rules, asker = policy(), KnownAsker(new=False, got=dict.fromkeys(names, 1), tag="k7x2")
    assert len(rules.rules) == RULES
    for offer in (
        negotiate(request, catalogue, today=TODAY),
        negotiate(shops, catalogue, rules, asker, today=TODAY),
    ):
        assert len(offer.claims) == CLAIMS

    def whole() -> None:
        negotiate(read_request(text, anchors=[], now_ms=0), catalogue, today=TODAY)

    def ruled() -> None:
        negotiate(shops, catalogue, rules, asker, today=TODAY)

    found = medians(
        {
            "negotiate": lambda: timed(lambda: negotiate(request, catalogue, today=TODAY), times=TIMES),
            "rules": lambda: timed(ruled, times=TIMES),
            "look-ups": lambda: timed(lambda: [catalogue.get(name) for name in names], times=TIMES),
            "whole": lambda: timed(whole, times=TIMES),
            "json": lambda: timed(lambda: json.loads(text), times=TIMES),
        },
        scale.rounds(100),
    )
    what = f"negotiate {CLAIMS} claims"
    yield Row("negotiate-50", what, f"{CLAIMS} look-ups in a dict", found["negotiate"], found["look-ups"])
    what = f"negotiation of {CLAIMS} claims, {RULES} rules (at most 2 ms)"
    yield Row("negotiate-rules", what, "the same without a policy", found["rules"], found["negotiate"])
    what = f"read a request of {CLAIMS} claims and negotiate"
    yield Row("request-50", what, "json.loads of the same text", found["whole"], found["json"])
