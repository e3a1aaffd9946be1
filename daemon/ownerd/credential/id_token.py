"""Login without data: a self-issued ID token (SIOPv2, draft 13, section 11) under the pairwise key.

The subject is the same did:jwk that the provider sees in disclosures, so registration, login and data meet in one
account, and in no other provider's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from ownerd.credential.did import did_jwk, verification_method
from ownerd.credential.jwe import public_members
from ownerd.credential.jwt import sign_jwt, signing_input, split_jwt, verify_jwt
from ownerd.model.encoding import Json
from ownerd.model.errors import InternalError, InvalidArgument
from ownerd.model.request import Request

VALID_SECONDS: Final = 600


def prepare_id_token(request: Request, *, holder_jwk: Mapping[str, Json], issued_at: int) -> str:
    """Return the token's signing input; it is what the statement holds."""
    did = did_jwk(holder_jwk)
    header = {"alg": "ES256", "typ": "JWT", "kid": verification_method(did)}
    payload = {
        "iss": did,
        "sub": did,
        "aud": request.provider.client_id,
        "nonce": request.nonce,
        "iat": issued_at,
        "exp": issued_at + VALID_SECONDS,
    }
    return signing_input(header, payload)


def finish_id_token(prepared: str, key: ec.EllipticCurvePrivateKey) -> str:
    """Sign exactly what was prepared. Raises `InternalError` for another key than the one it names."""
    holder = public_members(key)
    token = sign_jwt(prepared, key)
    try:
        _, _, payload = split_jwt(token)
        verify_jwt(token, holder)
    except InvalidArgument as error:
        raise InternalError("the id token is malformed") from error
    if payload.get("sub") != did_jwk(holder):
        raise InternalError("the holder key is not the one of the statement")
    return token
