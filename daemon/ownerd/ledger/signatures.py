"""Signatures as values: what is to be verified, apart from the verifying, so that any process may do it.

A check is (scheme, key, signature, message). The key is text: the public values of its JWK joined by dots ("x.y" or
"n.e", base64url), or for Ed25519 the 32 bytes in hexadecimal. `holds` trusts nothing in a check.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ownerd.ledger.jwk import SigningKey, parse_jwk, public_key
from ownerd.model.encoding import Json
from ownerd.model.errors import LedgerError

Scheme = Literal["Ed25519", "fido2", "ES256", "ES384", "RS256"]
Check = tuple[Scheme, str, bytes, bytes]
Settle = Callable[[Check], bool]

_CURVES: Final = {"fido2": "P-256", "ES256": "P-256", "ES384": "P-384"}


def key_text(jwk: dict[str, Json]) -> str:
    """The public values of an EC or RSA JWK as a check names them."""
    return f"{jwk['n']}.{jwk['e']}" if jwk["kty"] == "RSA" else f"{jwk['x']}.{jwk['y']}"


def holds(check: Check) -> bool:
    """Whether the signature of a check holds. A key that is none makes none hold."""
    scheme, key, signature, message = check
    try:
        if scheme == "Ed25519":
            _ed25519(key).verify(signature, message)
        elif scheme == "fido2":
            _fido2(key).verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            _card(scheme, key).verify(signature, message)
    except (InvalidSignature, LedgerError, ValueError):
        return False
    return True


# Making a key from its numbers costs half as much as a signature, and a log has few.
@lru_cache(maxsize=256)
def _ed25519(key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))


@lru_cache(maxsize=256)
def _fido2(key: str) -> ec.EllipticCurvePublicKey:
    return public_key(_jwk("fido2", key))


@lru_cache(maxsize=256)
def _card(scheme: Scheme, key: str) -> SigningKey:
    return parse_jwk(_jwk(scheme, key))


def _jwk(scheme: Scheme, key: str) -> dict[str, Json]:
    one, other = key.split(".")
    if scheme == "RS256":
        return {"kty": "RSA", "n": one, "e": other}
    return {"kty": "EC", "crv": _CURVES[scheme], "x": one, "y": other}


__all__ = ["Check", "Scheme", "Settle", "holds", "key_text"]
