"""A provider's request, from the bytes on the bus to a `Request` whose origin is known.

Three inputs (OpenID4VP 1.0 section 5, RFC 9101): a signed request object as compact JWS; a JSON object
``{"client_id": …, "request": <that JWS>}``; or an unsigned JSON object of the parameters. Two steps with
two types: `parse_request` yields a `ClaimedRequest`, in which nothing is believed, and `verify_request`
makes the `Request`. Numbered checks below are in the order in which they are made.

=================== ======== =========================================================================
client_id prefix    request  trust
=================== ======== =========================================================================
x509_san_dns        signed   verified: chain to an anchor, the name in the leaf, response_uri on that host
x509_hash           signed   verified: chain to an anchor, or the leaf is an anchor
redirect_uri        unsigned claimed: anyone can send it; the answer is sealed to whatever key it names
=================== ======== =========================================================================

Replay of a whole signed request is not detected here: it is answered, if the owner approves again, to the
same provider's key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ownerd.credential import request_checks as checks
from ownerd.credential.dcql import parse_dcql
from ownerd.credential.x509_identity import (
    leaf_key,
    parse_x5c,
    verify_hash,
    verify_san_dns,
)
from ownerd.model.encoding import Json, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported
from ownerd.model.request import Provider, Request, Trust

MAX_REQUEST_BYTES: Final = 256 * 1024
MAX_HEADER_BYTES: Final = 96 * 1024
TYP: Final = "oauth-authz-req+jwt"

_COMPACT = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2}", re.ASCII)
_FOREIGN_PREFIXES = ("decentralized_identifier", "verifier_attestation", "openid_federation")
# Header members that bring a key of the sender's choice, or change what is signed.
_REFUSED_HEADERS = ("crit", "b64", "jwk", "jku", "x5u", "zip")


class _Registry(jws.JWSRegistry):
    """joserfc stops at 512 bytes of header, which no certificate chain fits into."""

    max_header_length = MAX_HEADER_BYTES * 4 // 3
    max_payload_length = MAX_REQUEST_BYTES


_REGISTRY = _Registry(algorithms=["ES256"], strict_check_header=False)


@dataclass(frozen=True, slots=True)
class ClaimedRequest:
    """A parsed request of which nothing is verified.

    ``compact`` and ``header`` are None for an unsigned one; ``claimed_id`` is (prefix, rest) of client_id.
    """

    parameters: dict[str, Json]
    claimed_id: tuple[str, str]
    header: dict[str, Json] | None
    compact: str | None
    digest: bytes


def parse_client_id(value: Json) -> tuple[str, str]:
    """``prefix:rest`` of a client_id (section 5.9.1).

    Raises `NotAllowed` for ``origin`` (section 5.9.3 forbids it in requests), `NotSupported` for other
    prefixes and for pre-registered clients.
    """
    if not isinstance(value, str) or not 0 < len(value) <= checks.MAX_URI_CHARS + 32:
        raise InvalidArgument("request has no client_id")
    prefix, colon, rest = value.partition(":")
    if not colon:
        raise NotSupported("pre-registered client ids are not supported")
    if prefix == "origin":
        raise NotAllowed("client id prefix origin is not allowed in a request")
    if prefix in _FOREIGN_PREFIXES:
        raise NotSupported(f"client id prefix {prefix} is not supported")
    if prefix not in {"x509_san_dns", "x509_hash", "redirect_uri"}:
        raise NotSupported("client id prefix is not supported")
    return prefix, rest


def _parse_signed(compact: str, digest: bytes) -> ClaimedRequest:
    if not isinstance(compact, str) or not _COMPACT.fullmatch(compact):
        raise InvalidArgument("request object is not a compact JWS")
    raw_header, raw_payload, raw_signature = (parse_b64u(part) for part in compact.split("."))
    header = parse_json_object(raw_header, max_bytes=MAX_HEADER_BYTES)
    if header.get("typ") != TYP:  # 1. a JWT made for something else is not a request
        raise InvalidArgument(f"request object typ is not {TYP}")
    if header.get("alg") != "ES256" or len(raw_signature) != 64:  # 2. "none" and MACs end here
        raise NotSupported("only request objects signed with ES256 are supported")
    for name in _REFUSED_HEADERS:  # 3. the key comes from x5c alone
        if name in header:
            raise NotSupported(f"request object header {name} is not supported")
    parameters = parse_json_object(raw_payload, max_bytes=MAX_REQUEST_BYTES)
    return ClaimedRequest(parameters, parse_client_id(parameters.get("client_id")), header, compact, digest)


def parse_request(text: str) -> ClaimedRequest:
    """Parse a request strictly; nothing in the result is verified.

    Raises `InvalidArgument` for malformed, ambiguous or oversized input, `NotSupported` and `NotAllowed`
    for a client id or signature of another kind.
    """
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidArgument("request has a lone surrogate") from error
    if len(raw) > MAX_REQUEST_BYTES:
        raise InvalidArgument(f"request is larger than {MAX_REQUEST_BYTES} bytes")
    digest = hashlib.sha256(raw).digest()
    if not text.startswith("{"):
        return _parse_signed(text, digest)
    outer = parse_json_object(raw, max_bytes=MAX_REQUEST_BYTES)
    if "request" not in outer:
        return ClaimedRequest(outer, parse_client_id(outer.get("client_id")), None, None, digest)
    # 4. Only what is signed counts (section 5.10.1). A parameter beside it is an error or an attack.
    if outer.keys() - {"request", "client_id"}:
        named = sorted(name for name in outer if name in checks.TAKEN - {"client_id"})
        what = f"parameter {named[0]} stands" if named else "another parameter stands"
        raise InvalidArgument(f"{what} beside a signed request object")
    claimed = _parse_signed(outer["request"], digest)
    if outer.get("client_id") != claimed.parameters["client_id"]:  # 5.
        raise InvalidArgument("client_id differs from the one inside the request object")
    return claimed


def _verify_signature(claimed: ClaimedRequest, leaf: x509.Certificate) -> None:
    assert claimed.compact is not None
    try:
        jws.deserialize_compact(claimed.compact, ECKey.import_key(leaf_key(leaf)), registry=_REGISTRY)
    except (JoseError, ValueError) as error:
        raise NotAllowed("the signature of the request object does not hold") from error


def _verify_signer(
    claimed: ClaimedRequest, anchors: Sequence[x509.Certificate], now_ms: int, response_host: str
) -> Provider:
    """Numbered as in `verify_request`."""
    assert claimed.header is not None
    prefix, rest = claimed.claimed_id
    chain = parse_x5c(claimed.header.get("x5c"))
    _verify_signature(claimed, chain[0])  # 6.
    if prefix == "x509_san_dns":
        identity = verify_san_dns(rest, chain, anchors, now_ms=now_ms)  # 7.
        if response_host != rest:  # 8. or a verified name could send the answer elsewhere
            raise NotAllowed("response_uri is on another host than the client id")
    else:
        identity = verify_hash(rest, chain, anchors, now_ms=now_ms)  # 7.
    client_id = claimed.parameters["client_id"]
    return Provider(Trust.VERIFIED, client_id, identity.name, identity.thumbprint, identity.anchor)


def verify_request(claimed: ClaimedRequest, *, anchors: Sequence[x509.Certificate], now_ms: int) -> Request:
    """Verify who asks, then hold every parameter to its rule.

    Raises `NotAllowed` when signature, chain, host, time or audience do not hold; `InvalidArgument` and
    `NotSupported` for parameters.
    """
    prefix, rest = claimed.claimed_id
    parameters = claimed.parameters
    if prefix == "redirect_uri":
        if claimed.compact is not None:  # section 5.9.3: there is no key that could be trusted
            raise NotAllowed("redirect_uri client ids cannot be signed")
        response_uri = parameters.get("response_uri", rest)
        if response_uri != rest:
            raise NotAllowed("response_uri differs from the client id")
        host = checks.uri_host(response_uri, "response_uri")
        provider = Provider(Trust.CLAIMED, parameters["client_id"], host, None, None)
    else:
        if claimed.compact is None:
            raise NotAllowed(f"{prefix} client ids need a signed request object")
        response_uri = parameters.get("response_uri")
        host = checks.uri_host(response_uri, "response_uri")
        provider = _verify_signer(claimed, anchors, now_ms, host)
    checks.require_known(parameters)
    checks.require_response_type(parameters)
    checks.require_audience(parameters, host)
    checks.require_current(parameters, now_ms)
    return Request(
        provider=provider,
        query=parse_dcql(parameters.get("dcql_query")),
        nonce=checks.parse_nonce(parameters),
        state=checks.parse_state(parameters),
        response_uri=response_uri,
        recipient=checks.parse_recipient(parameters),
        digest=claimed.digest,
        purpose=checks.parse_purpose(parameters),
    )


def read_request(text: str, *, anchors: Sequence[x509.Certificate], now_ms: int) -> Request:
    """Parse and verify a request (`parse_request`, `verify_request`).

    ``anchors`` are the trust anchors the owner accepts; ``now_ms`` is milliseconds since the epoch.
    """
    return verify_request(parse_request(text), anchors=anchors, now_ms=now_ms)
