"""Who asks: from a parsed request of which nothing is believed to a `Provider` and where its answer may go.

=========================== ======== ====================================================================
client_id prefix            request  trust
=========================== ======== ====================================================================
x509_san_dns                signed   verified: chain to an anchor, the name in the leaf, response_uri there
x509_hash                   signed   verified: chain to an anchor, or the leaf is an anchor
verifier_attestation        signed   verified: a known attester says that the key is the name's
decentralized_identifier    signed   pinned: did:jwk, or did:web with its document given along; the key
                                     belongs to the DID, and only the owner can say whose the DID is
redirect_uri                unsigned claimed: anyone can send it; answered to whatever key it names
=========================== ======== ====================================================================

One prefix has one source of its key: ``x5c``, ``jwt`` or ``kid``. Another one beside it is refused and not
ignored, so that nobody can mean one key and be believed for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography import x509
from msgspec import Struct

from ownerd.credential import request_checks as checks
from ownerd.credential.attestation import Attester, verify_attestation
from ownerd.credential.compact_jws import ClaimedJws, verify_jws
from ownerd.credential.did_identity import find_did_key
from ownerd.credential.x509_identity import Identity, leaf_key, parse_x5c, verify_hash, verify_san_dns
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported
from ownerd.model.request import Provider, Trust

PREFIXES: Final = frozenset(
    {"x509_san_dns", "x509_hash", "verifier_attestation", "decentralized_identifier", "redirect_uri"}
)
DID_PREFIX: Final = "decentralized_identifier"

_WHAT = "request object"
_KEY_HEADER = {"x509_san_dns": "x5c", "x509_hash": "x5c", "verifier_attestation": "jwt", DID_PREFIX: "kid"}


class ClaimedRequest(Struct, frozen=True):
    """A parsed request of which nothing is verified.

    ``signed`` is None for an unsigned one; ``claimed_id`` is (prefix, rest) of client_id; ``did_document`` is
    what stood beside a signed request, or None; ``digest`` is the SHA-256 of the text.
    """

    parameters: dict[str, Json]
    claimed_id: tuple[str, str]
    signed: ClaimedJws | None
    did_document: Json
    digest: bytes


def _require_one_key(prefix: str, header: dict[str, Json]) -> None:
    for name in ("x5c", "jwt"):
        if name in header and name != _KEY_HEADER[prefix]:
            raise InvalidArgument(f"request object header {name} does not go with client id prefix {prefix}")


@lru_cache(maxsize=64)
def _identified(
    prefix: str,
    rest: str,
    chain: tuple[x509.Certificate, ...],
    anchors: tuple[x509.Certificate, ...],
    now_seconds: int,
) -> Identity:
    """Verify a chain once a second at most: validity has whole seconds (RFC 5280, 4.1.2.5), so nothing is lost."""
    verify = verify_san_dns if prefix == "x509_san_dns" else verify_hash
    return verify(rest, chain, anchors, now_ms=now_seconds * 1000)


def _by_certificate(
    claimed: ClaimedRequest,
    signed: ClaimedJws,
    anchors: Sequence[x509.Certificate],
    now_ms: int,
    response_host: str,
) -> Provider:
    prefix, rest = claimed.claimed_id
    chain = parse_x5c(signed.header.get("x5c"))
    verify_jws(signed, leaf_key(chain[0]), _WHAT)  # 7.
    identity = _identified(prefix, rest, chain, tuple(anchors), now_ms // 1000)  # 8.
    if prefix == "x509_san_dns" and response_host != rest:
        # 9. or a verified name could send the answer elsewhere
        raise NotAllowed("response_uri is on another host than the client id")
    client_id = claimed.parameters["client_id"]
    return Provider(
        Trust.VERIFIED, client_id, identity.name, identity.thumbprint, identity.anchor, response_host
    )


def _by_did(claimed: ClaimedRequest, signed: ClaimedJws, response_host: str) -> Provider:
    did = claimed.claimed_id[1]
    identity = find_did_key(did, signed.header.get("kid"), claimed.did_document)  # 8.
    verify_jws(signed, identity.jwk, _WHAT)  # 7.
    if identity.host not in (None, response_host):  # 9.
        raise NotAllowed("response_uri is on another host than the client id")
    client_id = claimed.parameters["client_id"]
    return Provider(Trust.PINNED, client_id, identity.name, identity.thumbprint, None, response_host)


def _by_attestation(
    claimed: ClaimedRequest,
    signed: ClaimedJws,
    attesters: Sequence[Attester],
    now_ms: int,
    response_host: str,
) -> Provider:
    attested = verify_attestation(  # 8. and, for redirect_uris, 9.
        signed.header.get("jwt"),
        claimed.claimed_id[1],
        attesters,
        response_uri=claimed.parameters["response_uri"],
        now_ms=now_ms,
    )
    verify_jws(signed, attested.jwk, _WHAT)  # 7.
    client_id = claimed.parameters["client_id"]
    return Provider(
        Trust.VERIFIED, client_id, attested.name, attested.thumbprint, attested.anchor, response_host
    )


def _unsigned(claimed: ClaimedRequest) -> tuple[Provider, str]:
    rest = claimed.claimed_id[1]
    if claimed.signed is not None:  # section 5.9.3: there is no key that could be trusted
        raise NotAllowed("redirect_uri client ids cannot be signed")
    response_uri = claimed.parameters.get("response_uri", rest)
    if response_uri != rest:
        raise NotAllowed("response_uri differs from the client id")
    host = checks.uri_host(response_uri, "response_uri")
    return Provider(Trust.CLAIMED, claimed.parameters["client_id"], host, None, None, host), response_uri


def verify_origin(
    claimed: ClaimedRequest,
    *,
    anchors: Sequence[x509.Certificate],
    attesters: Sequence[Attester],
    now_ms: int,
) -> tuple[Provider, str]:
    """Verify who asks: the provider and its response_uri.

    Checks 6 to 9, after those of parsing: (6) one source of a key, the prefix's own; (7) the signature under
    that key; (8) the key is the client id's, by chain, DID or attestation; (9) response_uri is where the
    identity lets answers go. Raises `NotAllowed`, and `InvalidArgument` or `NotSupported` for malformed parts.
    """
    prefix = claimed.claimed_id[0]
    if prefix == "redirect_uri":
        return _unsigned(claimed)
    signed = claimed.signed
    if signed is None:
        raise NotAllowed(f"{prefix} client ids need a signed request object")
    if claimed.did_document is not None and prefix != DID_PREFIX:
        raise InvalidArgument("a DID document stands beside a request without a DID")
    if prefix not in _KEY_HEADER:
        raise NotSupported("client id prefix is not supported")
    _require_one_key(prefix, signed.header)  # 6.
    host = checks.uri_host(claimed.parameters.get("response_uri"), "response_uri")
    response_uri = claimed.parameters["response_uri"]
    if prefix == DID_PREFIX:
        return _by_did(claimed, signed, host), response_uri
    if prefix == "verifier_attestation":
        return _by_attestation(claimed, signed, attesters, now_ms, host), response_uri
    return _by_certificate(claimed, signed, anchors, now_ms, host), response_uri
