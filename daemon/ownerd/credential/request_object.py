"""A provider's request, from the bytes on the bus to a `Request` whose origin is known.

Four inputs (OpenID4VP 1.0 section 5, RFC 9101): a signed request object as compact JWS; a JSON object
``{"client_id": …, "request": <that JWS>}``; the same with ``"did_document"``, what the host of a did:web
client id serves; or an unsigned JSON object of the parameters. Two steps with two types: `parse_request`
yields a `ClaimedRequest`, in which nothing is believed, and `verify_request` makes the `Request`. Numbered
checks are in the order in which they are made: 1 to 5 here, 6 to 9 (who asks) in `ownerd.credential.origin`,
which has the table of client id prefixes.

Replay of a whole signed request is not detected here: it is answered, if the owner approves again, to the
same provider's key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography import x509

from ownerd.credential import request_checks as checks
from ownerd.credential.asked import parse_asked
from ownerd.credential.attestation import Attester
from ownerd.credential.compact_jws import parse_jws
from ownerd.credential.origin import PREFIXES, ClaimedRequest, verify_origin
from ownerd.model.encoding import Json, parse_json_object
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported
from ownerd.model.request import Request

MAX_REQUEST_BYTES: Final = 256 * 1024
TYP: Final = "oauth-authz-req+jwt"

_FOREIGN_PREFIXES = ("openid_federation",)
_ENVELOPE = frozenset({"request", "client_id", "did_document"})


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
    if prefix not in PREFIXES:
        raise NotSupported("client id prefix is not supported")
    return prefix, rest


def _parse_signed(compact: Json, digest: bytes, did_document: Json = None) -> ClaimedRequest:
    # 1. typ; 2. ES256; 3. no header that brings a key of the sender's choice: all in `parse_jws`
    signed = parse_jws(compact, "request object", typ=TYP)
    claimed_id = parse_client_id(signed.payload.get("client_id"))
    return ClaimedRequest(signed.payload, claimed_id, signed, did_document, digest)


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
    if outer.keys() - _ENVELOPE:
        named = sorted(name for name in outer if name in checks.TAKEN - {"client_id"})
        what = f"parameter {named[0]} stands" if named else "another parameter stands"
        raise InvalidArgument(f"{what} beside a signed request object")
    if not isinstance(outer.get("did_document", {}), dict):
        raise InvalidArgument("did_document is not a JSON object")
    claimed = _parse_signed(outer["request"], digest, outer.get("did_document"))
    if outer.get("client_id") != claimed.parameters["client_id"]:  # 5.
        raise InvalidArgument("client_id differs from the one inside the request object")
    return claimed


def verify_request(
    claimed: ClaimedRequest,
    *,
    anchors: Sequence[x509.Certificate],
    attesters: Sequence[Attester] = (),
    now_ms: int,
) -> Request:
    """Verify who asks, then hold every parameter to its rule.

    Raises `NotAllowed` when signature, chain, host, time or audience do not hold; `InvalidArgument` and
    `NotSupported` for parameters.
    """
    parameters = claimed.parameters
    provider, response_uri = verify_origin(claimed, anchors=anchors, attesters=attesters, now_ms=now_ms)
    checks.require_known(parameters)
    checks.require_audience(parameters, provider.host)
    checks.require_current(parameters, now_ms)
    asked = parse_asked(parameters)
    return Request(
        provider=provider,
        query=asked.query,
        nonce=checks.parse_nonce(parameters),
        state=checks.parse_state(parameters),
        response_uri=response_uri,
        recipient=checks.parse_recipient(parameters, login=asked.login),
        digest=claimed.digest,
        purpose=checks.parse_purpose(parameters),
        terms=asked.terms,
        login=asked.login,
    )


def read_request(
    text: str, *, anchors: Sequence[x509.Certificate], attesters: Sequence[Attester] = (), now_ms: int
) -> Request:
    """Parse and verify a request (`parse_request`, `verify_request`).

    ``anchors`` and ``attesters`` are whom the owner lets vouch for providers; ``now_ms`` is milliseconds
    since the epoch.
    """
    return verify_request(parse_request(text), anchors=anchors, attesters=attesters, now_ms=now_ms)
