"""did:jwk, the name of a pairwise key: the DID *is* the public key (did:jwk method, version of 2022).

The JSON inside is not canonical by the method's own rules, so one order is fixed here, that of RFC 7638:
``did:jwk:`` ‖ base64url({"crv":"P-256","kty":"EC","x":…,"y":…}). The one verification method is ``DID#0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ownerd.credential.jwe import canonical_jwk, require_p256_public
from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument

PREFIX: Final = "did:jwk:"


def did_jwk(public_jwk: Mapping[str, Json]) -> str:
    """DID of a P-256 public JWK; members other than crv, kty, x, y do not count.

    Raises `InvalidArgument` for anything but a P-256 public key.
    """
    return PREFIX + format_b64u(canonical_jwk(public_jwk))


def parse_did_jwk(did: str) -> dict[str, Json]:
    """Inverse of `did_jwk`. Raises `InvalidArgument` for every DID that it would not have written."""
    if not isinstance(did, str) or not did.startswith(PREFIX):
        raise InvalidArgument("not a did:jwk")
    members = require_p256_public(parse_json_object(parse_b64u(did.removeprefix(PREFIX)), max_bytes=512))
    if did_jwk(members) != did:
        raise InvalidArgument("did:jwk is not in the order of RFC 7638")
    return members


def verification_method(did: str) -> str:
    """Key id of the one key of a did:jwk."""
    return did + "#0"
