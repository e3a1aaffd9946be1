"""Negotiation: request and catalogue in, offer out. Pure (DESIGN section 4, step 4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ownerd.model.claim import Claim, claim_name
from ownerd.model.offer import Offer, OfferedClaim, OfferedCredential
from ownerd.model.request import Request


def negotiate(request: Request, catalogue: Mapping[str, Claim], without: Collection[str] = ()) -> Offer:
    """Offer exactly the claims that are asked for and there, minus those the owner holds back.

    Claims keep the order of the request and appear once.
    """
    offered: dict[str, OfferedClaim] = {}
    missing: dict[str, None] = {}
    withheld: dict[str, None] = {}
    for asked in request.query.credentials[0].claims:
        name = claim_name(tuple(str(element) for element in asked.path))
        claim = catalogue.get(name)
        if name in without:
            withheld[name] = None
        elif claim is None:
            missing[name] = None
        else:
            offered[name] = OfferedClaim(name, claim.value, claim.version, claim.source)
    credential = OfferedCredential(request.query.credentials[0].id, tuple(offered))
    return Offer(request, (credential,), tuple(offered.values()), tuple(missing), tuple(withheld))
