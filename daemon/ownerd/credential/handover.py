"""Hand-over from a provider's old interface key to its new one: a JWT by the old key, with a ``typ`` of its own.

Header: alg ES256, typ `TYP`, kid old DID#0. Payload: ``iss`` the old DID, ``sub`` the new DID, ``aud`` the one provider,
``iat``, ``cnf`` the new key. A type of its own, so that no other signature by a provider key can pass for one
(RFC 8725 section 3.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from ownerd.credential.did import did_jwk, parse_did_jwk, verification_method
from ownerd.credential.jwe import public_members, require_p256_public, required_members
from ownerd.credential.jwt import sign_jwt, signing_input, split_jwt, verify_jwt
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument

TYP: Final = "ownerd-handover+jwt"


def prepare_handover(
    old_jwk: Mapping[str, Json], new_jwk: Mapping[str, Json], client_id: str, issued_at: int
) -> str:
    """Return the signing input; ``issued_at`` in seconds since the epoch."""
    new = required_members(require_p256_public(new_jwk))
    old_did = did_jwk(old_jwk)
    header = {"alg": "ES256", "typ": TYP, "kid": verification_method(old_did)}
    payload = {
        "iss": old_did,
        "sub": did_jwk(new),
        "aud": client_id,
        "iat": issued_at,
        "cnf": {"jwk": new},
    }
    return signing_input(header, payload)


def finish_handover(prepared: str, old_key: ec.EllipticCurvePrivateKey) -> str:
    """Sign with the old key. Raises `InternalError`."""
    handover = sign_jwt(prepared, old_key)
    verify_jwt(handover, public_members(old_key))
    return handover


def verify_handover(jwt: str, client_id: str) -> tuple[str, str]:
    """Return (old DID, new DID) of a hand-over to ``client_id``. Raises `InvalidArgument`.

    A provider does the same with the library it has; this is for the owner's tools and the tests.
    """
    _, header, payload = split_jwt(jwt)
    if header.get("typ") != TYP or payload.get("aud") != client_id:
        raise InvalidArgument("not a hand-over to this provider")
    old, new = payload.get("iss"), payload.get("sub")
    if not isinstance(old, str) or not isinstance(new, str):
        raise InvalidArgument("a hand-over names two keys")
    verify_jwt(jwt, parse_did_jwk(old))
    if payload.get("cnf") != {"jwk": parse_did_jwk(new)}:
        raise InvalidArgument("a hand-over confirms the key that it names")
    return old, new
