"""The credential of a grant: a plain SD-JWT (RFC 9901) that is made once under a touch and shown many times.

The issuer-signed JWT is by the provider key; it names its one audience (``aud``, RFC 7519 section 4.1.3), ends with
the grant, and confirms (``cnf``) a key of the grant's own. Each repeat shows some of its disclosures under a fresh
KB-JWT by that key, so a repeat needs no touch and no provider key. What a holder of an old copy of the vault could
still show ends with ``exp``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from ownerd.credential.jwt import sign_jwt, verify_jwt
from ownerd.credential.presentation import (
    KB_HEADER,
    Binding,
    Prepared,
    bind,
    kb_payload,
    prepare_credential,
)
from ownerd.model.encoding import Json
from ownerd.model.errors import InternalError, InvalidArgument
from ownerd.model.request import Request


class PreparedGrant(Struct, frozen=True):
    """A grant's credential but its signature: signing input, and (path, disclosure) of each claim."""

    issuer_signing_input: str
    disclosures: tuple[tuple[tuple[str, ...], str], ...]


def prepare_grant(
    claims: Sequence[tuple[tuple[str, ...], Json]],
    client_id: str,
    *,
    holder_jwk: Mapping[str, Json],
    grant_jwk: Mapping[str, Json],
    issued_at: int,
    expires_at: int,
    rng: Callable[[int], bytes],
    more: Mapping[str, Json],
) -> PreparedGrant:
    """Compose the credential of a grant; times in seconds since the epoch. Raises as `prepare_credential`."""
    binding = Binding(holder_jwk, grant_jwk, issued_at, expires_at, {"aud": client_id, **more})
    issuer_part, disclosures = prepare_credential(claims, binding, rng)
    return PreparedGrant(issuer_part, tuple(disclosures))


def issue_grant(prepared: PreparedGrant, key: ec.EllipticCurvePrivateKey) -> str:
    """Sign the credential with the provider key. Raises `InternalError`."""
    issuer_jwt = sign_jwt(prepared.issuer_signing_input, key)
    try:
        verify_jwt(issuer_jwt, key.public_key())
    except InvalidArgument as error:
        raise InternalError("the signature of a grant does not hold") from error
    return issuer_jwt


def show_grant(
    issuer_jwt: str,
    disclosures: Sequence[str],
    request: Request,
    *,
    key: ec.EllipticCurvePrivateKey,
    issued_at: int,
    hashes: Sequence[str] = (),
) -> str:
    """Present ``disclosures`` of a grant's credential to the sender of ``request``; ``key`` is the grant key.

    Raises `InternalError`. Nothing was shown to the owner that the outcome could be held against: the arguments are it.
    """
    issuer_part, _, signature = issuer_jwt.rpartition(".")
    if not signature:
        raise InternalError("a grant holds no credential")
    prepared = Prepared(
        issuer_part, tuple(disclosures), dict(KB_HEADER), kb_payload(request, issued_at, hashes)
    )
    return bind(issuer_jwt, prepared, key)
