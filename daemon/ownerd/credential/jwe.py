"""Compact JWE, the one envelope that values travel in: ECDH-ES on P-256 with A128GCM or A256GCM.

RFC 7516 and RFC 7518 section 4.6, direct key agreement, done by joserfc. Every other ``alg`` and ``enc``,
compression, party info and unknown header members are refused before any key is used. It trusts nothing
about who sealed a message: a JWE has no sender.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, NotSupported

ALG: Final = "ECDH-ES"
ENCS: Final = ("A128GCM", "A256GCM")
MAX_JWE_CHARS: Final = 1 << 20
MAX_PLAINTEXT_BYTES: Final = 700_000

_COORDINATE_BYTES = 32
_MAX_KID_CHARS = 256
_HEADER_MEMBERS = frozenset({"alg", "enc", "epk", "kid"})
_REQUIRED_MEMBERS = ("kty", "crv", "x", "y")

JwePrivateKey = ec.EllipticCurvePrivateKey


def new_key() -> JwePrivateKey:
    """Make a P-256 key pair that messages can be sealed to."""
    return ec.generate_private_key(ec.SECP256R1())


def public_members(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> dict[str, Json]:
    """The required public members of a P-256 key as JWK: kty, crv, x, y. Raises `InvalidArgument`."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    if not isinstance(public.curve, ec.SECP256R1):
        raise InvalidArgument("key is not on P-256")
    numbers = public.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": format_b64u(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
        "y": format_b64u(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
    }


def public_jwk(key: JwePrivateKey) -> dict[str, Json]:
    """Public half as JWK: kty, crv, x, y, use ``enc``, alg ``ECDH-ES`` and the thumbprint as kid."""
    members = public_members(key)
    return {**members, "use": "enc", "alg": ALG, "kid": thumbprint(members)}


def thumbprint(jwk: Mapping[str, Json]) -> str:
    """RFC 7638 thumbprint of a P-256 public JWK (base64url SHA-256). Raises `InvalidArgument`."""
    return format_b64u(hashlib.sha256(canonical_jwk(jwk)).digest())


def canonical_jwk(jwk: Mapping[str, Json]) -> bytes:
    """A P-256 public JWK as RFC 7638, section 3.3 writes it: {"crv":"P-256","kty":"EC","x":…,"y":…}.

    Raises `InvalidArgument`.
    """
    required = required_members(require_p256_public(jwk))
    return json.dumps(required, sort_keys=True, separators=(",", ":")).encode("ascii")


def required_members(jwk: Mapping[str, Json]) -> dict[str, Json]:
    """A P-256 JWK that was looked at before, without the members that a thumbprint does not count: kty, crv, x, y."""
    return {name: jwk[name] for name in _REQUIRED_MEMBERS}


def public_key(jwk: Mapping[str, Json]) -> ec.EllipticCurvePublicKey:
    """The key of a P-256 public JWK. Raises `InvalidArgument` for malformed coordinates and a point off the curve."""
    return _public_key(_coordinate(jwk, "x"), _coordinate(jwk, "y"))


@lru_cache(maxsize=64)
def _public_key(x: int, y: int) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError as error:
        raise InvalidArgument("JWK is not a point on P-256") from error


def _coordinate(jwk: Mapping[str, Json], name: str) -> int:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) != len(format_b64u(bytes(_COORDINATE_BYTES))):
        raise InvalidArgument(f"JWK member {name} is not a P-256 coordinate")
    return int.from_bytes(parse_b64u(value), "big")


def require_p256_public(jwk: Mapping[str, Json]) -> dict[str, Json]:
    """Return kty, crv, x, y and, where given, use, alg, kid; other members are dropped (RFC 7517, 4).

    Raises `InvalidArgument` for a private key, another curve, a point off the curve, or a malformed member.
    """
    if not isinstance(jwk, Mapping):
        raise InvalidArgument("JWK is not an object")
    if "d" in jwk:
        raise InvalidArgument("JWK holds a private key")
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise InvalidArgument("JWK is not an EC key on P-256")
    public_key(jwk)
    members = required_members(jwk)
    for name in ("use", "alg", "kid"):
        if name in jwk:
            value = jwk[name]
            if not isinstance(value, str) or not 0 < len(value) <= _MAX_KID_CHARS or not value.isprintable():
                raise InvalidArgument(f"JWK member {name} is malformed")
            members[name] = value
    return members


def require_encryption_key(jwk: Mapping[str, Json]) -> dict[str, Json]:
    """`require_p256_public`, and ``use`` and ``alg``, where given, allow ECDH-ES."""
    members = require_p256_public(jwk)
    if members.get("use", "enc") != "enc":
        raise InvalidArgument("JWK is not for encryption")
    if members.get("alg", ALG) != ALG:
        raise NotSupported("only ECDH-ES is supported for JWE")
    return members


def seal_jwe(plaintext: bytes, recipient: Mapping[str, Json], *, enc: str = "A256GCM") -> str:
    """Seal ``plaintext`` to a public JWK; the header carries the JWK's ``kid`` where it has one.

    Raises `InvalidArgument` for a bad key or an oversized plaintext, `NotSupported` for another ``enc``.
    """
    from ownerd.credential.jose import encrypt_compact

    members = require_encryption_key(recipient)
    if enc not in ENCS:
        raise NotSupported("only A128GCM and A256GCM are supported for JWE")
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise InvalidArgument(f"plaintext is larger than {MAX_PLAINTEXT_BYTES} bytes")
    header = {"alg": ALG, "enc": enc}
    if "kid" in members:
        header["kid"] = members["kid"]
    return encrypt_compact(header, plaintext, members)


def _require_header(segment: str, key: JwePrivateKey) -> None:
    """Hold the protected header to what `seal_jwe` writes, before the key meets the sender's point."""
    header = parse_json_object(parse_b64u(segment), max_bytes=2048)
    if header.get("alg") != ALG or header.get("enc") not in ENCS:
        raise NotSupported("only ECDH-ES with A128GCM or A256GCM is supported for JWE")
    if "zip" in header:
        raise NotSupported("compressed JWE is not supported")
    if set(header) - _HEADER_MEMBERS:
        raise NotSupported("JWE header has a member that is not supported")
    epk = require_p256_public(header.get("epk", {}))
    if set(header["epk"]) - set(epk):
        raise InvalidArgument("JWE ephemeral key has foreign members")
    if "kid" in header and header["kid"] != thumbprint(public_members(key)):
        raise InvalidArgument("JWE is sealed to another key")


def open_jwe(compact: str, key: JwePrivateKey) -> bytes:
    """Open what `seal_jwe` sealed to ``key``.

    Raises `InvalidArgument` when it is malformed, oversized, changed or sealed to another key, and
    `NotSupported` for another algorithm, compression or a header member that `seal_jwe` does not write.
    """
    from ownerd.credential.jose import decrypt_compact

    if not isinstance(compact, str) or len(compact) > MAX_JWE_CHARS:
        raise InvalidArgument("JWE is too large")
    segments = compact.split(".")
    if len(segments) != 5 or segments[1]:
        raise InvalidArgument("not a compact JWE with direct key agreement")
    _require_header(segments[0], key)
    iv, tag = parse_b64u(segments[2]), parse_b64u(segments[4])
    if len(iv) != 12 or len(tag) != 16:
        raise InvalidArgument("JWE has a nonce or tag of the wrong length")
    parse_b64u(segments[3])
    return decrypt_compact(compact, key)
