"""Compact JWS signed ES256 (RFC 7515), read strictly: the envelope of request objects and attestations.

`parse_jws` takes it apart and believes nothing; `verify_jws` holds the signature against a key that the
caller found elsewhere. No header member chooses the key, the algorithm or how the payload is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from ownerd.credential.jwe import require_p256_public
from ownerd.model.encoding import Json, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported

MAX_HEADER_BYTES: Final = 96 * 1024
MAX_PAYLOAD_BYTES: Final = 256 * 1024

_SIGNATURE_BYTES = 64
_COMPACT = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2}", re.ASCII)
# Header members that bring a key of the sender's choice, or change what is signed.
_REFUSED_HEADERS = ("crit", "b64", "jwk", "jku", "x5u", "zip")


class ClaimedJws(Struct, frozen=True):
    """A parsed JWS whose signature nobody looked at: header, payload and the text itself."""

    header: dict[str, Json]
    payload: dict[str, Json]
    compact: str


def parse_jws(compact: Json, what: str, *, typ: str) -> ClaimedJws:
    """Take a compact JWS of JSON apart. ``what`` names it in errors, as in "request object".

    Raises `InvalidArgument` when it is malformed, oversized or of another ``typ``; `NotSupported` for
    another algorithm and for header members that bring a key or change what is signed.
    """
    if not isinstance(compact, str) or not _COMPACT.fullmatch(compact):
        raise InvalidArgument(f"{what} is not a compact JWS")
    raw_header, raw_payload, raw_signature = (parse_b64u(part) for part in compact.split("."))
    header = parse_json_object(raw_header, max_bytes=MAX_HEADER_BYTES)
    if header.get("typ") != typ:  # a JWT made for something else is not this one
        raise InvalidArgument(f"{what} typ is not {typ}")
    if header.get("alg") != "ES256" or len(raw_signature) != _SIGNATURE_BYTES:  # "none" and MACs end here
        raise NotSupported(f"only a {what} signed with ES256 is supported")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise NotSupported(f"{what} header {name} is not supported")
    return ClaimedJws(header, parse_json_object(raw_payload, max_bytes=MAX_PAYLOAD_BYTES), compact)


def require_signing_key(jwk: Json) -> dict[str, Json]:
    """`require_p256_public`, and ``use``, ``key_ops`` and ``alg``, where given, allow ES256 signatures."""
    members = require_p256_public(jwk)
    if members.get("use", "sig") != "sig" or members.get("alg", "ES256") != "ES256":
        raise InvalidArgument("JWK is not for ES256 signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise InvalidArgument("JWK is not for ES256 signatures")
    return members


Key = Mapping[str, Json] | ec.EllipticCurvePublicKey


def is_signed_by(claimed: ClaimedJws, public: Key) -> bool:
    """Whether the signature holds under a P-256 public key or JWK."""
    from ownerd.credential.jose import verify_compact

    try:
        verify_compact(claimed.compact, public)
    except InvalidArgument:
        return False
    return True


def verify_jws(claimed: ClaimedJws, public: Key, what: str) -> None:
    """Raises `NotAllowed` when the signature does not hold under ``public``."""
    if not is_signed_by(claimed, public):
        raise NotAllowed(f"the signature of the {what} does not hold")
