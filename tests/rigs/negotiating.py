"""Requests, catalogues and policies for tests of negotiation, made of the model alone."""

from datetime import date
from functools import cache

from ownerd.model.claim import Claim
from ownerd.model.offer import KnownAsker
from ownerd.model.query import ClaimQuery, CredentialQuery, Query
from ownerd.model.request import Provider, RecipientKey, Request, Trust
from ownerd.model.terms import AskedTerms, Terms
from ownerd.negotiation.negotiate import negotiate
from ownerd.negotiation.policy_text import parse_policy

TODAY = date(2026, 11, 23)
SHOP = Provider(Trust.VERIFIED, "x509_san_dns:shop.example", "shop.example", "key", "anchor")
PINNED = Provider(Trust.PINNED, "decentralized_identifier:did:web:shop.example", "shop.example", "key", None)
CLAIMED = Provider(Trust.CLAIMED, "redirect_uri:https://shop.example/cb", "shop.example", None, None)
KNOWN = KnownAsker(new=False, tag="k7x2")
VALUES = {
    "given_name": "Ada",
    "email": "ada@example.org",
    "phone_number": "+49 30 1",
    "birthdate": "1990-05-01",
    "nickname": "A.",
    "address.street_address": "1 Road",
    "address.locality": "Bonn",
    "address.country": "DE",
}
DELIVERY = "dpv:DeliveryOfGoods"
MARKETING = "dpv:Marketing"


def catalogue(values=None, version=1):
    values = VALUES if values is None else values
    return {
        name: Claim(name, value, "typed", "2026-11-23T14:00:00.123Z", version)
        for name, value in values.items()
    }


def ask(path, *values, claim_id=None):
    """``address.locality``, or a whole path as a tuple."""
    return ClaimQuery(claim_id, tuple(path.split(".")) if isinstance(path, str) else path, values)


def credential(*claims, query_id="owner", claim_sets=(), unmet=None):
    asked = tuple(one if isinstance(one, ClaimQuery) else ask(one, claim_id=str(one)) for one in claims)
    return CredentialQuery(query_id, asked, tuple(claim_sets), unmet)


def terms(*purposes, retention_days=None, recipients=(), agreement=None):
    asked = Terms(purposes, retention_days, recipients, agreement)
    return AskedTerms(asked, ("owner",), "encoded")


def request(*credentials, provider=SHOP, sets=(), asked_terms=(), login=False):
    return Request(
        provider=provider,
        query=Query(tuple(credentials), tuple(sets)),
        nonce="n" * 22,
        state=None,
        response_uri="https://shop.example/cb",
        recipient=RecipientKey({}, "thumbprint", "ECDH-ES", "A128GCM"),
        digest=bytes(32),
        purpose=None,
        terms=tuple(asked_terms),
        login=login,
    )


@cache
def policy(text):
    return parse_policy(f"version = 1\n{text}")


def offer(*claims, rules="", provider=SHOP, asker=KNOWN, values=None, asked_terms=(), **more):
    """Negotiate one credential of ``claims``."""
    made = request(credential(*claims), provider=provider, asked_terms=asked_terms)
    return negotiate(made, catalogue(values), policy(rules), asker, today=TODAY, **more)


def names(found):
    return [claim.name for claim in found.claims]
