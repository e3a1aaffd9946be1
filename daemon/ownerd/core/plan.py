"""From an offer to exactly what would leave: credentials composed, statement rendered, nothing signed yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from ownerd.core.desk import Act
from ownerd.core.holder import Holder
from ownerd.core.known import KnownProvider
from ownerd.core.ports import Rng
from ownerd.core.statement import Situation, Statement, offer_statement, request_values
from ownerd.credential.presentation import Prepared, prepare, statement_part
from ownerd.credential.transaction_data import hashes
from ownerd.model.canonical import format_canonical
from ownerd.model.claim import claim_path
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import NotSupported
from ownerd.model.names import Kind
from ownerd.model.offer import Offer, OfferedClaim
from ownerd.model.terms import AskedTerms


class Plan(Struct, frozen=True):
    """What would leave if the owner approved now: one prepared credential per credential query."""

    offer: Offer
    prepared: Mapping[str, Prepared]
    owner_terms: Mapping[str, Json] | None
    statement: Statement


def make_plan(offer: Offer, holder: Holder, situation: Situation, now_ms: int, rng: Rng) -> Plan:
    """Compose the credentials of ``offer`` and the statement about them."""
    named = {claim.name: claim for claim in offer.claims}
    terms = owner_terms(offer)
    more: dict[str, Json] = {} if terms is None else {"owner_terms": terms_member(terms)}
    prepared = {
        credential.query_id: prepare(
            [(claim_path(name), named[name].value) for name in credential.claims],
            offer.request,
            holder_jwk=holder.public_jwk,
            issued_at=now_ms // 1000,
            rng=rng,
            hashes=accepted_hashes(offer, credential.query_id),
            more=more,
        )
        for credential in offer.credentials
    }
    parts: dict[str, Json] = {query_id: statement_part(one) for query_id, one in prepared.items()}
    return Plan(offer, prepared, terms, offer_statement(Kind.DISCLOSURE.value, offer, situation, parts))


def owner_terms(offer: Offer) -> dict[str, Json] | None:
    """The owner's own terms as a document, or None where there are none for this purpose."""
    own = offer.terms.own
    return None if own is None else {"v": 1, **own.members()}


def terms_member(terms: Mapping[str, Json]) -> dict[str, Json]:
    """What the issuer-signed JWT says of the owner's terms: their digest."""
    return {"alg": "sha-256", "digest": terms_hash(terms)}


def terms_hash(terms: Mapping[str, Json]) -> str:
    """base64url SHA-256 of the canonical JSON (RFC 8785) of the owner's terms."""
    return format_b64u(hashlib.sha256(format_canonical(dict(terms))).digest())


def accepted_hashes(offer: Offer, query_id: str) -> list[str]:
    """Hashes that the KB-JWT of one credential signs, when all terms are accepted unchanged.

    Each of the terms is signed in the first of its credentials that goes and in no other (OpenID4VP 1.0, section
    8.4). Raises `NotSupported` where none of them goes: then the terms would be answered by nobody.
    """
    if not offer.terms.accepted:
        return []
    going = [credential.query_id for credential in offer.credentials]
    mine: list[AskedTerms] = []
    for asked in offer.request.terms:
        carriers = [one for one in going if one in asked.credentials]
        if not carriers:
            raise NotSupported("transaction_data belongs to a credential that is not sent")
        if carriers[0] == query_id:
            mine.append(asked)
    return hashes(mine)


def response_members(known: KnownProvider | None, terms: Mapping[str, Json] | None) -> dict[str, Json]:
    """Members of ours that go along in the encrypted response: the owner's terms, a hand-over."""
    members: dict[str, Json] = {}
    if terms is not None:
        members["owner_terms"] = dict(terms)
    if known is not None and known.handover is not None:
        members["handover"] = known.handover
    return members


def entry_values(statement: Statement, offer: Offer, act: Act) -> dict[str, Json]:
    """The values that the entry of a disclosure, a grant or a counter-offer commits to."""
    values = {**request_values(statement, act.caller, offer.request), "purpose": _purpose(offer)}
    for index, claim in enumerate(offer.claims):
        values[f"claim/{index}"] = claim_value(claim)
    return values


def claim_value(claim: OfferedClaim) -> dict[str, Json]:
    """One claim as an opening holds it; ``of`` names what was asked where another went in its place."""
    value: dict[str, Json] = {"name": claim.name, "value": claim.value, "version": claim.version}
    if claim.form.value != "raw":
        value["form"] = claim.form.value
    if _stands_in(claim):
        value["of"] = claim.instead_of
    return value


def as_asked(offer: Offer) -> Offer:
    """The same offer without claims that stand in for others: what those stand for counts as refused."""
    stand_ins = {claim.name: claim.instead_of for claim in offer.claims if _stands_in(claim)}
    if not stand_ins:
        return offer
    credentials = []
    for credential in offer.credentials:
        left = tuple(name for name in credential.claims if name not in stand_ins)
        if left or not credential.claims:
            credentials.append(replace(credential, claims=left))
    refused = [name for name in stand_ins.values() if name is not None and name not in offer.refused]
    return replace(
        offer,
        credentials=tuple(credentials),
        claims=tuple(claim for claim in offer.claims if not _stands_in(claim)),
        refused=(*offer.refused, *refused),
        each_time=tuple(name for name in offer.each_time if name not in stand_ins),
    )


def _stands_in(claim: OfferedClaim) -> bool:
    return claim.instead_of not in (None, claim.name)


def nothing_of(blind: Offer) -> Offer:
    """The offer of nothing, where ``blind`` says what would go if it were there: all of that is missing."""
    missing = [claim.instead_of or claim.name for claim in blind.claims]
    return replace(
        blind,
        credentials=(),
        claims=(),
        missing=tuple(dict.fromkeys((*missing, *blind.missing))),
        notes=(),
        grant=None,
        each_time=(),
    )


def without_values(offer: Offer) -> Offer:
    """The same offer with every value taken out: what a counter-offer's statement holds."""
    return replace(offer, claims=tuple(replace(claim, value=None) for claim in offer.claims))


def _purpose(offer: Offer) -> Json:
    purposes = [purpose for asked in offer.request.terms for purpose in asked.terms.purposes]
    return offer.request.purpose or (", ".join(purposes) if purposes else None)
