"""Whether a request proves less than the same provider proved before: the downgrade (OpenID4VP 1.0, section 14).

Signatures cannot be stripped from a request unnoticed, but a new one can be made without any, for the same
host. Keys and aliases of one trust level never serve a lower one; this is the alarm beside that lock.

A provider's hosts are the one that its client id names and those to which its answers went: x509_hash, did:jwk and
an attestation in words name none. Without a signature anybody can write any host, so a request that is unsigned is
held against everything under one registered domain (a guess, see `ownerd.credential.lookalike`); one that is signed by
a key that nobody vouches for against the host and what is below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

from ownerd.credential import request_checks as checks
from ownerd.credential.did_identity import DID_WEB, parse_did_web
from ownerd.credential.dns_name import is_dns_name
from ownerd.credential.lookalike import registrable
from ownerd.model.errors import OwnerdError
from ownerd.model.request import Provider, Trust


class Known(Protocol):
    """A provider of earlier, as the core keeps it."""

    @property
    def client_id(self) -> str:
        """Full prefixed client id."""

    @property
    def trust(self) -> Trust:
        """What it proved."""

    @property
    def hosts(self) -> Sequence[str]:
        """Where its answers went."""


class Standing(StrEnum):
    """How a request falls short of what a known provider of its host proved."""

    UNSIGNED = "unsigned"  # claimed, where it was verified or pinned before
    UNVOUCHED = "unvouched"  # pinned, where it was verified before


_RANK = {Trust.CLAIMED: 0, Trust.PINNED: 1, Trust.VERIFIED: 2}


def host_of(client_id: str) -> str | None:
    """The host that a client id names, lowercase, or None where it names none (x509_hash, did:jwk, words)."""
    prefix, _, rest = client_id.partition(":")
    try:
        if prefix == "redirect_uri":
            return checks.uri_host(rest, "client id")
        if prefix == "decentralized_identifier":
            return parse_did_web(rest)[0] if rest.startswith(DID_WEB) else None
    except OwnerdError:
        return None
    return rest if prefix in {"x509_san_dns", "verifier_attestation"} and is_dns_name(rest) else None


def _covers(known: str, host: str) -> bool:
    return host == known or host.endswith(f".{known}")


def hosts_of(known: Known) -> frozenset[str]:
    """Every host that is a known provider's."""
    named = host_of(known.client_id)
    return frozenset(known.hosts) if named is None else frozenset({named, *known.hosts})


def standing(provider: Provider, known: Iterable[Known]) -> Standing | None:
    """What a request lacks, or None where it is no downgrade.

    It is one when a known provider of a higher trust level has the host of the answer, a domain above it, or, where
    the request is unsigned, one of the same registered domain.
    """
    rank = _RANK[provider.trust]
    domain = registrable(provider.host)
    for other in known:
        if _RANK[other.trust] <= rank:
            continue
        for host in hosts_of(other):
            if provider.trust is Trust.CLAIMED and registrable(host) == domain:
                return Standing.UNSIGNED
            if _covers(host, provider.host):
                return Standing.UNVOUCHED if provider.trust is Trust.PINNED else Standing.UNSIGNED
    return None
