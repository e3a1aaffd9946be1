"""A provider's request after verification.

`Request` is only made by `ownerd.credential` from bytes that passed every check; nothing here is claimed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from ownerd.model.encoding import Json
    from ownerd.model.query import Query
    from ownerd.model.terms import AskedTerms


class Trust(StrEnum):
    """How sure we are who asks. Keys and aliases of one level never serve a lower one."""

    VERIFIED = "verified"
    PINNED = "pinned"
    CLAIMED = "claimed"


class Provider(Struct, frozen=True):
    """A relying party: trust level, full prefixed ``client_id`` and the thumbprint of its request key.

    ``name`` is what prompts show (a DNS name where one was verified). ``anchor`` is the SHA-256 hex
    fingerprint of the trust anchor of a verified chain. Unsigned: both None. ``host`` is where the answer goes.
    """

    trust: Trust
    client_id: str
    name: str
    key_thumbprint: str | None
    anchor: str | None
    host: str = ""


class RecipientKey(Struct, frozen=True):
    """The P-256 public JWK that the answer is sealed to: ``alg`` ECDH-ES, ``enc`` A128GCM or A256GCM."""

    jwk: dict[str, Json]
    thumbprint: str
    alg: str
    enc: str


class Request(Struct, frozen=True):
    """One verified request.

    ``digest`` is the SHA-256 of the request bytes as received. ``purpose`` is the provider's own words or None.
    ``terms`` come from ``transaction_data``, all of which is understood. ``login``: an id_token is asked for
    (SIOPv2) and no data; ``query`` is empty then.
    """

    provider: Provider
    query: Query
    nonce: str
    state: str | None
    response_uri: str
    recipient: RecipientKey
    digest: bytes
    purpose: str | None
    terms: tuple[AskedTerms, ...] = ()
    login: bool = False
