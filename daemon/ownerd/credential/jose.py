"""joserfc: the one module of the daemon that knows it. Imported with the first JWS or JWE, because a locked daemon needs neither.

ES256 (RFC 7518 section 3.4) and ECDH-ES on P-256 with AES-GCM (section 4.6), nothing else. What may stand in a header
is the caller's to decide: joserfc's own bounds are made wide enough for certificate chains and ledger pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ownerd.credential.jwe import MAX_JWE_CHARS, public_key
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument

MAX_JWS_HEADER_BYTES: Final = 128 * 1024
MAX_JWS_PAYLOAD_BYTES: Final = 256 * 1024

PublicKey = Mapping[str, Json] | ec.EllipticCurvePublicKey


class _Signing(jws.JWSRegistry):
    max_header_length = MAX_JWS_HEADER_BYTES  # joserfc stops at 512 bytes
    max_payload_length = MAX_JWS_PAYLOAD_BYTES


class _Sealing(jwe.JWERegistry):
    max_ciphertext_length = MAX_JWE_CHARS  # joserfc stops at 64 KiB


_SIGNING: Final = _Signing(algorithms=["ES256"], strict_check_header=False)
_SEALING: Final = _Sealing(algorithms=["ECDH-ES", "A128GCM", "A256GCM"])


def _public(key: PublicKey) -> ECKey:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ECKey.import_key(key)
    return ECKey.import_key(public_key(key))


def sign_compact(header: Mapping[str, Json], payload: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    """Compact JWS. Raises `InvalidArgument`."""
    try:
        return jws.serialize_compact(dict(header), payload, ECKey.import_key(key), registry=_SIGNING)
    except (JoseError, ValueError) as error:
        raise InvalidArgument("not a header that can be signed") from error


def verify_compact(compact: str, key: PublicKey) -> None:
    """Verify a compact JWS. Raises `InvalidArgument`."""
    try:
        jws.deserialize_compact(compact, _public(key), registry=_SIGNING)
    except (JoseError, KeyError, ValueError, TypeError, AttributeError) as error:
        # joserfc takes the types of header members for granted: a crit that is a number is a TypeError.
        raise InvalidArgument("the signature does not hold") from error


def encrypt_compact(header: Mapping[str, Json], plaintext: bytes, key: Mapping[str, Json]) -> str:
    """Compact JWE to a public JWK."""
    return jwe.encrypt_compact(dict(header), plaintext, _public(key), registry=_SEALING)


def decrypt_compact(compact: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Open a compact JWE. Raises `InvalidArgument`."""
    try:
        plaintext = jwe.decrypt_compact(compact, ECKey.import_key(key), registry=_SEALING).plaintext
    except (JoseError, ValueError, AssertionError) as error:
        raise InvalidArgument("JWE does not open with this key") from error
    if plaintext is None:
        raise InvalidArgument("JWE does not open with this key")
    return plaintext
