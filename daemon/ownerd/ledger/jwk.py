"""Public JWKs of signing keys (RFC 7517, RFC 7518 section 6): exactly the public members, each in its one form.

EC keys are points of P-256 or P-384 with coordinates of full length; RSA keys have 2048 to 4096 bits and an odd
exponent of 65537 to 2^32 - 1, both without leading zero bytes. The key alone says which algorithm it signs with.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from msgspec import Struct

from ownerd.ledger.shape import Members
from ownerd.model.encoding import Json
from ownerd.model.errors import BadSignature, Malformed
from ownerd.model.token import CardAlgorithm

EC_MEMBERS: Final = ("kty", "crv", "x", "y")
RSA_MEMBERS: Final = ("kty", "n", "e")
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 4096
_MIN_EXPONENT: Final = 65537
_MAX_EXPONENT: Final = (1 << 32) - 1


class EcKey(Struct, frozen=True):
    """A P-256 (ES256, SHA-256) or P-384 (ES384, SHA-384) key."""

    key: ec.EllipticCurvePublicKey

    @property
    def algorithm(self) -> CardAlgorithm:
        """JWS name of the algorithm."""
        return "ES256" if isinstance(self.key.curve, ec.SECP256R1) else "ES384"

    def verify(self, signature: bytes, message: bytes) -> None:
        """Verify r ‖ s over ``message``. Raises `Malformed` (length) or `BadSignature`."""
        size = (self.key.key_size + 7) // 8
        if len(signature) != 2 * size:
            raise Malformed("signature has the wrong length")
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        digest = hashes.SHA256() if self.algorithm == "ES256" else hashes.SHA384()
        try:
            self.key.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
        except InvalidSignature as error:
            raise BadSignature("signature does not hold") from error


class RsaKey(Struct, frozen=True):
    """An RSA key for RS256: PKCS #1 v1.5 with SHA-256."""

    key: rsa.RSAPublicKey

    @property
    def algorithm(self) -> CardAlgorithm:
        """JWS name of the algorithm."""
        return "RS256"

    def verify(self, signature: bytes, message: bytes) -> None:
        """Verify a signature as long as the modulus. Raises `Malformed` (length) or `BadSignature`."""
        if len(signature) != (self.key.key_size + 7) // 8:
            raise Malformed("signature has the wrong length")
        try:
            self.key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise BadSignature("signature does not hold") from error


SigningKey = EcKey | RsaKey


def parse_jwk(jwk: Json) -> SigningKey:
    """Read the public JWK of a signing key: EC (P-256, P-384) or RSA. Raises `Malformed`."""
    if not isinstance(jwk, dict) or jwk.get("kty") not in ("EC", "RSA"):
        raise Malformed("key is not an EC or RSA JWK")
    return EcKey(_point(jwk)) if jwk["kty"] == "EC" else RsaKey(_modulus(jwk))


def public_key(jwk: Json) -> ec.EllipticCurvePublicKey:
    """JWK with exactly ``kty`` EC, ``crv`` P-256, ``x``, ``y`` → key on the curve. Raises `Malformed`."""
    members = Members(jwk, EC_MEMBERS)
    if members.value("kty") != "EC" or members.value("crv") != "P-256":
        raise Malformed("key is not a P-256 JWK")
    return _point(jwk)


def _point(jwk: Json) -> ec.EllipticCurvePublicKey:
    members = Members(jwk, EC_MEMBERS)
    curve = members.value("crv")
    if curve not in ("P-256", "P-384"):
        raise Malformed("key is of another curve than P-256 and P-384")
    size = 32 if curve == "P-256" else 48
    return _on_curve(curve, members.data("x", size), members.data("y", size))


# Making a key from its numbers costs half as much as a signature, and whoever reads a log meets the same few again.
@lru_cache(maxsize=64)
def _on_curve(curve: str, x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    form = ec.SECP256R1() if curve == "P-256" else ec.SECP384R1()
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), form)
    try:
        return numbers.public_key()
    except ValueError as error:
        raise Malformed("key is not a point of its curve") from error


def _modulus(jwk: Json) -> rsa.RSAPublicKey:
    members = Members(jwk, RSA_MEMBERS)
    n, e = (_integer(members.data(name, max_bytes=MAX_RSA_BITS // 8)) for name in ("n", "e"))
    if n.bit_length() < MIN_RSA_BITS or not n & 1:
        raise Malformed("modulus is too short, or even")
    if not _MIN_EXPONENT <= e <= _MAX_EXPONENT or not e & 1:
        raise Malformed("exponent is out of range, or even")
    return rsa.RSAPublicNumbers(e, n).public_key()


def _integer(data: bytes) -> int:
    if data[0] == 0:
        raise Malformed("an integer of a key has a leading zero byte")
    return int.from_bytes(data, "big")
