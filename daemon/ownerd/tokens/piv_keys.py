"""Public keys of cards: which ones ownerd can use, their JWKs, and what their signatures must be. Pure.

Signing keys: P-256 (ES256), P-384 (ES384), RSA-2048 (RS256). Agreement keys: P-256 and P-384.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

from ownerd.model.encoding import Json, format_b64u, parse_b64u
from ownerd.model.errors import InvalidArgument, ProtocolBroken, Unsupported, WrongKey

Algorithm = Literal["ES256", "ES384", "RS256"]
CardKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

RSA_BITS: Final = 2048
# DER of DigestInfo up to the hash, SHA-256 (RFC 8017, section 9.2, note 1).
_SHA256_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")


class Curve(Struct, frozen=True):
    """A curve that cards have: its JWK name, PIV algorithm identifier (SP 800-78-4 table 6-2) and coordinate size."""

    name: str
    algorithm: Algorithm
    piv: int
    size: int
    curve: ec.EllipticCurve


CURVES: Final = (
    Curve("P-256", "ES256", 0x11, 32, ec.SECP256R1()),
    Curve("P-384", "ES384", 0x14, 48, ec.SECP384R1()),
)
PIV_RSA_2048: Final = 0x07


class PublicKeys(Struct, frozen=True):
    """Keys that were generated on a card, where they were."""

    signing: ec.EllipticCurvePublicKey | None = None
    agreement: ec.EllipticCurvePublicKey | None = None


def curve_of(key: CardKey) -> Curve | None:
    """Return the curve of ``key``, or None for RSA and other curves."""
    if isinstance(key, rsa.RSAPublicKey):
        return None
    return next((curve for curve in CURVES if curve.curve.name == key.curve.name), None)


def usable_signing_key(key: Any) -> CardKey | None:
    """Return ``key`` when ownerd can verify its signatures, else None."""
    if isinstance(key, rsa.RSAPublicKey):
        return key if key.key_size == RSA_BITS else None
    return usable_agreement_key(key)


def usable_agreement_key(key: Any) -> ec.EllipticCurvePublicKey | None:
    """Return ``key`` when ECDH with it is possible, else None."""
    return key if isinstance(key, ec.EllipticCurvePublicKey) and curve_of(key) is not None else None


def card_id(key: CardKey) -> str:
    """Id of an enrolled card: first 16 hex digits of SHA-256(SubjectPublicKeyInfo)."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()[:16]


def format_jwk(key: CardKey) -> dict[str, Json]:
    """Write a public JWK (RFC 7518, section 6)."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        modulus = numbers.n.to_bytes(RSA_BITS // 8, "big")
        exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")
        return {"kty": "RSA", "n": format_b64u(modulus), "e": format_b64u(exponent)}
    curve = curve_of(key)
    if curve is None:
        raise Unsupported("the card's key is on another curve than P-256 and P-384")
    point = key.public_numbers()
    x, y = (format_b64u(number.to_bytes(curve.size, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": curve.name, "x": x, "y": y}


def parse_jwk(jwk: dict[str, Json]) -> CardKey:
    """Read what `format_jwk` wrote. Raises `InvalidArgument`."""
    try:
        if jwk["kty"] == "RSA":
            n, e = (int.from_bytes(parse_b64u(jwk[name]), "big") for name in ("n", "e"))
            key: CardKey = rsa.RSAPublicNumbers(e, n).public_key()
        else:
            curve = next(curve for curve in CURVES if curve.name == jwk["crv"])
            x, y = (int.from_bytes(parse_b64u(jwk[name]), "big") for name in ("x", "y"))
            key = ec.EllipticCurvePublicNumbers(x, y, curve.curve).public_key()
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise InvalidArgument("the enrolled card's key is malformed") from error
    if format_jwk(key) != jwk or usable_signing_key(key) is None:
        raise InvalidArgument("the enrolled card's key is malformed")
    return key


def parse_point(curve: Curve, point: bytes) -> ec.EllipticCurvePublicKey:
    """Read an uncompressed point on ``curve``. Raises `ValueError`."""
    if len(point) != 1 + 2 * curve.size or point[0] != 4:
        raise ValueError("not an uncompressed point")
    return ec.EllipticCurvePublicKey.from_encoded_point(curve.curve, point)


def algorithm_of(key: CardKey) -> Algorithm:
    """JWS algorithm of the approvals that ``key`` makes."""
    curve = curve_of(key)
    return "RS256" if curve is None else curve.algorithm


def signing_input(key: CardKey, message: bytes) -> tuple[int, bytes]:
    """(PIV algorithm identifier, what GENERAL AUTHENTICATE takes) to sign ``message`` with ``key``."""
    curve = curve_of(key)
    if curve is None:  # the card does the bare RSA operation: PKCS #1 v1.5 padding is ours
        info = _SHA256_INFO + hashlib.sha256(message).digest()
        return PIV_RSA_2048, b"\x00\x01" + b"\xff" * (RSA_BITS // 8 - 3 - len(info)) + b"\x00" + info
    return curve.piv, _digest(curve)(message).digest()


def verify_signature(key: CardKey, message: bytes, signature: bytes) -> bytes:
    """Verify what the card made of `signing_input`, and return it as JWS has it (ECDSA: r ‖ s).

    Raises `ProtocolBroken` for a malformed signature and `WrongKey` for one that is not of ``key``.
    """
    curve = curve_of(key)
    try:
        if isinstance(key, rsa.RSAPublicKey) or curve is None:
            assert isinstance(key, rsa.RSAPublicKey)
            if len(signature) != RSA_BITS // 8:
                raise ProtocolBroken("the card's signature has the wrong length")
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            return signature
        try:
            r, s = decode_dss_signature(signature)
            raw = r.to_bytes(curve.size, "big") + s.to_bytes(curve.size, "big")
        except (ValueError, OverflowError) as error:
            raise ProtocolBroken("the card's signature is malformed") from error
        digest = hashes.SHA256() if curve.size == 32 else hashes.SHA384()
        key.verify(signature, message, ec.ECDSA(digest))
        return raw
    except InvalidSignature as error:
        raise WrongKey("the card signs with another key than the enrolled one") from error


def _digest(curve: Curve) -> Any:
    return hashlib.sha256 if curve.size == 32 else hashlib.sha384
