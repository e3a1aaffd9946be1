"""A grant as the vault holds it: who may repeat what, under which terms, how often, until when.

The record is sealed under the vault key and deleted when the grant ends, and with it the grant key (DESIGN section 5).
Whether a grant still lives is judged from the ledger: the record holds no count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from ownerd.core.provider_keys import format_key, parse_key
from ownerd.model.encoding import Json, format_b64u, parse_b64u
from ownerd.model.policy import GrantLimits

KIND: Final = "grant"


class GrantedClaim(Struct, frozen=True):
    """One claim of a grant: the version and value that the owner approved, and its SD-JWT disclosure."""

    name: str
    version: int
    value: Json
    disclosure: str


class Grant(Struct, frozen=True):
    """One grant. ``entry`` is its ledger entry and its id; ``until_ms`` milliseconds since the epoch.

    ``terms`` is the digest of what a request must say again, word for word (`ownerd.core.grants.terms_digest`).
    ``owner_terms`` is the document that goes along.
    """

    entry: int
    provider_id: str
    claims: Mapping[str, GrantedClaim]
    terms: str
    owner_terms: Mapping[str, Json] | None
    limits: GrantLimits
    since: str
    until_ms: int
    issuer_jwt: str
    key: ec.EllipticCurvePrivateKey

    @property
    def id(self) -> str:
        """The record's id: the entry number."""
        return str(self.entry)


def format_grant(grant: Grant) -> dict[str, Json]:
    """Members of the sealed record."""
    return {
        "v": 1,
        "provider": grant.provider_id,
        "claims": [
            {"name": one.name, "version": one.version, "value": one.value, "disclosure": one.disclosure}
            for one in grant.claims.values()
        ],
        "terms": grant.terms,
        "owner_terms": None if grant.owner_terms is None else dict(grant.owner_terms),
        "days": grant.limits.days,
        "count": grant.limits.count,
        "per_hour": grant.limits.per_hour,
        "since": grant.since,
        "until_ms": grant.until_ms,
        "issuer_jwt": grant.issuer_jwt,
        "key": format_b64u(format_key(grant.key)),
    }


def parse_grant(record_id: str, members: Mapping[str, Json]) -> Grant:
    """Inverse of `format_grant`. Raises `KeyError`, `TypeError`, `ValueError`, `InvalidArgument`, `VaultDamaged`."""
    claims = [
        GrantedClaim(one["name"], one["version"], one["value"], one["disclosure"])
        for one in members["claims"]
    ]
    return Grant(
        entry=int(record_id),
        provider_id=members["provider"],
        claims={claim.name: claim for claim in claims},
        terms=members["terms"],
        owner_terms=members["owner_terms"],
        limits=GrantLimits(members["days"], members["count"], members["per_hour"]),
        since=members["since"],
        until_ms=members["until_ms"],
        issuer_jwt=members["issuer_jwt"],
        key=parse_key(parse_b64u(members["key"])),
    )
