"""Whether a request proves less than the same provider proved before: the downgrade (OpenID4VP 1.0, section 14).

Signatures cannot be stripped from a request unnoticed, but a new one can be made without any, for the same
host. Keys and aliases of one trust level never serve a lower one; this is the alarm beside that lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from ownerd.credential import request_checks as checks
from ownerd.credential.did_identity import DID_WEB, parse_did_web
from ownerd.credential.dns_name import is_dns_name
from ownerd.model.errors import OwnerdError
from ownerd.model.request import Provider, Trust


class Known(Protocol):
    """A provider of earlier: `Provider` itself and the core's own record both are."""

    @property
    def client_id(self) -> str:
        """Full prefixed client id."""

    @property
    def trust(self) -> Trust:
        """What it proved."""

    @property
    def name(self) -> str:
        """What prompts show."""


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


def standing(provider: Provider, host: str, known: Iterable[Known]) -> Standing | None:
    """What a request lacks, or None where it is no downgrade. ``host`` is the host of its response_uri.

    It is one when a known provider of a higher trust level names ``host`` or a domain above it.
    """
    rank = _RANK[provider.trust]
    if rank == _RANK[Trust.VERIFIED]:
        return None
    above = {
        other.trust
        for other in known
        if _RANK[other.trust] > rank
        if (named := host_of(other.client_id)) is not None and _covers(named, host)
    }
    if not above:
        return None
    return Standing.UNSIGNED if provider.trust is Trust.CLAIMED else Standing.UNVOUCHED
