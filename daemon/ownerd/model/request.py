"""A provider's request after verification, and the offer that answers it.

`Request` is only made by `ownerd.credential` from bytes that passed every check; nothing here is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ownerd.model.encoding import Json


class Trust(StrEnum):
    """How sure we are who asks. Keys and aliases of one level never serve a lower one."""

    VERIFIED = "verified"
    PINNED = "pinned"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class Provider:
    """A relying party: trust level, full prefixed ``client_id`` and the thumbprint of its request key.

    ``name`` is what prompts show (a DNS name where one was verified). ``anchor`` is the SHA-256 hex
    fingerprint of the trust anchor of a verified chain. Unsigned: both None.
    """

    trust: Trust
    client_id: str
    name: str
    key_thumbprint: str | None
    anchor: str | None


@dataclass(frozen=True, slots=True)
class RequestedClaim:
    """One DCQL claims query: its optional id and its path of member names."""

    id: str | None
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CredentialQuery:
    """One DCQL credential query for ``dc+sd-jwt`` with ``urn:ownerd:owner:1``; every claim is required."""

    id: str
    claims: tuple[RequestedClaim, ...]


@dataclass(frozen=True, slots=True)
class RecipientKey:
    """The P-256 public JWK that the answer is sealed to: ``alg`` ECDH-ES, ``enc`` A128GCM or A256GCM."""

    jwk: dict[str, Json]
    thumbprint: str
    alg: str
    enc: str


@dataclass(frozen=True, slots=True)
class Request:
    """One verified request.

    ``digest`` is the SHA-256 of the request bytes as received. ``purpose`` is the plain text of the
    provider's stated purpose or None.
    """

    provider: Provider
    query: CredentialQuery
    nonce: str
    state: str | None
    response_uri: str
    recipient: RecipientKey
    digest: bytes
    purpose: str | None


@dataclass(frozen=True, slots=True)
class OfferedClaim:
    """One claim that would go, with the version of it that would go."""

    name: str
    value: Json
    version: int
    source: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What negotiation yields: claims that would go; names asked but not in the vault, or held back."""

    request: Request
    claims: tuple[OfferedClaim, ...]
    missing: tuple[str, ...]
    withheld: tuple[str, ...] = ()
