"""Grants: repeats without a touch, within what one touch allowed (DESIGN section 5).

A grant serves signed requests of one provider, for its claims in the versions that the owner approved, under the
identical terms; never a login, never what a web page hands over, never a caller that is unknown. A value that has
changed since is not sent: the owner is asked to renew the grant. Whether it lives is judged from the ledger:
`Uses` is read from it at unlock and kept in step with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from ownerd.core import grant_record, plan
from ownerd.core.counts import Uses
from ownerd.core.desk import Act
from ownerd.core.grant_record import Grant, GrantedClaim
from ownerd.core.holder import Holder
from ownerd.core.known import KnownProvider
from ownerd.core.ports import Rng, StorePort
from ownerd.core.service import Released
from ownerd.core.session import Session
from ownerd.core.statement import Situation, Statement, offer_statement, repeat_statement
from ownerd.core.vault import Vault
from ownerd.credential.grant import PreparedGrant, issue_grant, prepare_grant, show_grant
from ownerd.credential.jwe import public_members
from ownerd.credential.presentation import build_response
from ownerd.ledger.entry import parse_leaf
from ownerd.model.caller import Caller, Confidence
from ownerd.model.canonical import format_canonical
from ownerd.model.claim import claim_name, claim_path
from ownerd.model.clock import format_time, parse_time
from ownerd.model.encoding import Json
from ownerd.model.errors import NotAllowed, NotFound, OwnerdError
from ownerd.model.names import Kind
from ownerd.model.offer import Offer
from ownerd.model.policy import GrantLimits
from ownerd.model.request import Request, Trust

DAY_MS: Final = 24 * 60 * 60 * 1000
_READ_AT_ONCE: Final = 4096


# -- how often each was used --


async def read_uses(store: StorePort, grants: Iterable[Grant]) -> Uses:
    """Count the uses of ``grants`` in the ledger. Raises `StorageError`, `Malformed`."""
    uses = Uses()
    wanted = {grant.entry for grant in grants}
    if not wanted:
        return uses
    start = min(wanted)
    while leaves := await store.leaves(start, _READ_AT_ONCE):
        for raw in leaves:
            # Parsing is 100 times dearer than looking; a value that looks alike is sorted out by parsing.
            if b'"facts":{"grant":' in raw:
                core = parse_leaf(raw).core
                if core.kind is Kind.DISCLOSURE and core.facts["grant"] in wanted:
                    uses.add(core.facts["grant"], parse_time(core.time))
        start += len(leaves)
    return uses


# -- what a grant covers --


def terms_digest(offer: Offer) -> str:
    """What must be the same in every repeat: words, asked terms, and the owner's own."""
    own = offer.terms.own
    said: Json = {
        "purpose": offer.request.purpose,
        "asked": [
            {**one.terms.members(), "credentials": list(one.credentials)} for one in offer.request.terms
        ],
        "own": None if own is None else own.members(),
    }
    return hashlib.sha256(format_canonical(said)).hexdigest()


def may_have_grant(request: Request, caller: Caller) -> bool:
    """Whether a grant may serve, or be made for, this request of this caller at all."""
    if request.login or request.provider.trust not in (Trust.VERIFIED, Trust.PINNED):
        return False
    return caller.confidence is not Confidence.UNKNOWN


def find_grant(vault: Vault, provider: KnownProvider, offer: Offer) -> tuple[Grant, bool] | None:
    """Return the grant for this offer, and whether every value is still the one that was approved."""
    if offer.each_time:
        return None
    digest = terms_digest(offer)
    for grant in vault.grants.values():
        if grant.provider_id != provider.id or grant.terms != digest or not offer.claims:
            continue
        if not all(claim.name in grant.claims for claim in offer.claims):
            continue
        return grant, all(
            (one.version, one.value) == (grant.claims[one.name].version, grant.claims[one.name].value)
            for one in offer.claims
        )
    return None


async def repeat(
    session: Session, act: Act, provider: KnownProvider, grant: Grant, offer: Offer
) -> Released | None:
    """Steps 9 and 10 without asking. None when the grant's limits are reached: then the owner is asked."""
    journal, request = session.require_journal(), offer.request
    now_ms = journal.now_ms()
    if not session.uses.allows(grant, now_ms):
        return None
    presentations = {
        credential.query_id: show_grant(
            grant.issuer_jwt,
            [grant.claims[name].disclosure for name in credential.claims],
            request,
            key=grant.key,
            issued_at=now_ms // 1000,
            hashes=plan.accepted_hashes(offer, credential.query_id),
        )
        for credential in offer.credentials
    }
    members = plan.response_members(provider, grant.owner_terms)
    response = build_response(request, presentations, members)
    statement = repeat_statement(request, act.caller, grant.entry, offer.claims)
    draft = journal.draft(Kind.DISCLOSURE, plan.entry_values(statement, offer, act), {"grant": grant.entry})
    used_ms = parse_time(draft.core.time)
    session.uses.add(grant.entry, used_ms)  # before the commit, so that two at once do not share the last use
    outcome: dict[str, Json] = {"presentation": presentations, "response": response}
    try:
        entry = await journal.append(draft, outcome=outcome)
    except OwnerdError:
        session.uses.take_back(grant.entry, used_ms)
        raise
    # A caller who is gone leaves the use counted: its entry is carried to its end.
    return Released(response, entry)


# -- making and ending --


class GrantPlan(Struct, frozen=True):
    """A grant as the owner is asked for it: its credential without signature, its key, its statement."""

    offer: Offer
    prepared: PreparedGrant
    key: ec.EllipticCurvePrivateKey
    limits: GrantLimits
    until_ms: int
    owner_terms: Mapping[str, Json] | None
    statement: Statement

    @property
    def facts(self) -> dict[str, Json]:
        """What the entry says in clear, so that anybody can judge whether the grant lives."""
        return {
            "until": format_time(self.until_ms),
            "count": self.limits.count,
            "per_hour": self.limits.per_hour,
        }


def make_grant_plan(
    offer: Offer, holder: Holder, limits: GrantLimits, situation: Situation, now_ms: int, rng: Rng
) -> GrantPlan:
    """Compose the grant of everything in ``offer``."""
    key = ec.generate_private_key(ec.SECP256R1())
    until_ms = now_ms + limits.days * DAY_MS
    terms = plan.owner_terms(offer)
    prepared = prepare_grant(
        [(claim_path(claim.name), claim.value) for claim in offer.claims],
        offer.request.provider.client_id,
        holder_jwk=holder.public_jwk,
        grant_jwk=public_members(key),
        issued_at=now_ms // 1000,
        expires_at=until_ms // 1000,
        rng=rng,
        more={} if terms is None else {"owner_terms": plan.terms_member(terms)},
    )
    shown: dict[str, Json] = {
        "issuer_signing_input": prepared.issuer_signing_input,
        "disclosures": [disclosure for _, disclosure in prepared.disclosures],
    }
    about: dict[str, Json] = {
        "days": limits.days,
        "count": limits.count,
        "per_hour": limits.per_hour,
        "until": format_time(until_ms),
    }
    statement = offer_statement(Kind.GRANT.value, offer, situation, {"grant": shown}, grant=about)
    return GrantPlan(offer, prepared, key, limits, until_ms, terms, statement)


def signed_grant(
    granted: GrantPlan, entry: int, provider_id: str, key: ec.EllipticCurvePrivateKey, time: str
) -> Grant:
    """The grant, its credential signed with the provider key, as it will lie in the vault."""
    disclosures = {claim_name(path): text for path, text in granted.prepared.disclosures}
    claims = {
        one.name: GrantedClaim(one.name, one.version, one.value, disclosures[one.name])
        for one in granted.offer.claims
    }
    return Grant(
        entry=entry,
        provider_id=provider_id,
        claims=claims,
        terms=terms_digest(granted.offer),
        owner_terms=granted.owner_terms,
        limits=granted.limits,
        since=time,
        until_ms=granted.until_ms,
        issuer_jwt=issue_grant(granted.prepared, key),
        key=granted.key,
    )


async def end_grant(session: Session, vault: Vault, grant: Grant, act_values: Mapping[str, Json]) -> int:
    """Delete a grant with its key, and record it; needs no touch, as it only takes away. Returns the entry."""
    journal = session.require_journal()
    draft = journal.draft(Kind.GRANT_ENDED, dict(act_values), {"grant": grant.entry})
    gone = [(grant_record.KIND, grant.id)]
    entry = await journal.append(draft, delete=gone, apply=vault.apply)
    session.uses.end(grant.entry)
    return entry


async def end_expired(session: Session, vault: Vault) -> None:
    """End the grants whose time is over."""
    now_ms = session.require_journal().now_ms()
    for grant in list(vault.grants.values()):
        if grant.until_ms <= now_ms:
            await end_grant(session, vault, grant, {"reason": "its time is over"})


def listing(session: Session, vault: Vault) -> dict[str, Json]:
    """Grants for the owner's tool; names and dates, no value."""
    now_ms = session.require_journal().now_ms()
    rows: list[Json] = []
    for grant in vault.grants.values():
        provider = vault.providers.get(grant.provider_id)
        rows.append(
            {
                "id": grant.id,
                "provider": grant.provider_id,
                "name": provider.name if provider else "",
                "claims": list(grant.claims),
                "since": grant.since,
                "until": format_time(grant.until_ms),
                "count": grant.limits.count,
                "used": session.uses.count(grant.entry),
                "per_hour": grant.limits.per_hour,
                "live": grant.until_ms > now_ms and session.uses.count(grant.entry) < grant.limits.count,
            }
        )
    return {"grants": rows}


def require_grant(vault: Vault, grant_id: Json) -> Grant:
    """Find a grant. Raises `NotFound`."""
    if not isinstance(grant_id, str) or grant_id not in vault.grants:
        raise NotFound("no such grant")
    return vault.grants[grant_id]


def require_eligible(offer: Offer, caller: Caller) -> None:
    """Raise `NotAllowed` where no grant may be made."""
    if offer.each_time:
        raise NotAllowed("no grant can be given for this request: a rule asks about it each time")
    if not may_have_grant(offer.request, caller):
        raise NotAllowed(
            "no grant can be given for this request: only signed requests of known apps may repeat"
        )
