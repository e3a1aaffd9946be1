"""Compact JWS with ES256, as all JWTs of ours are made and taken apart (RFC 7515, RFC 7518 section 3.4).

A signing input is composed first and signed later, because what a touch approves is the signing input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InternalError, InvalidArgument


def compact_json(value: Json) -> bytes:
    """JSON without spaces, in UTF-8, members in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def signing_input(header: Mapping[str, Json], payload: Mapping[str, Json]) -> str:
    """``base64url(header).base64url(payload)``."""
    return f"{format_b64u(compact_json(dict(header)))}.{format_b64u(compact_json(dict(payload)))}"


def split_jwt(jwt: str) -> tuple[str, dict[str, Json], dict[str, Json]]:
    """(signing input, header, payload) of a compact JWS, unverified. Raises `InvalidArgument`."""
    signed, _, signature = jwt.rpartition(".")
    parse_b64u(signature)
    header, _, payload = signed.partition(".")
    return signed, parse_json_object(parse_b64u(header)), parse_json_object(parse_b64u(payload))


def sign_jwt(prepared: str, key: ec.EllipticCurvePrivateKey) -> str:
    """Sign a `signing_input`; the result begins with exactly that. Raises `InternalError`."""
    from ownerd.credential.jose import sign_compact

    try:
        _, header, _ = split_jwt(prepared + ".")
        signed = sign_compact(header, parse_b64u(prepared.partition(".")[2]), key)
    except InvalidArgument as error:
        raise InternalError("what was to be signed is not a JWT") from error
    if signed.rpartition(".")[0] != prepared:
        raise InternalError("what was signed is not what was to be signed")
    return signed


def make_jwt(header: Mapping[str, Json], payload: Mapping[str, Json], key: ec.EllipticCurvePrivateKey) -> str:
    """Compose and sign at once, where nobody was shown a `signing_input`. Raises `InvalidArgument`."""
    from ownerd.credential.jose import sign_compact

    return sign_compact(header, compact_json(dict(payload)), key)


def verify_jwt(jwt: str, public: Mapping[str, Json] | ec.EllipticCurvePublicKey) -> None:
    """Verify an ES256 signature by a key or a public JWK. Raises `InvalidArgument`."""
    from ownerd.credential.jose import verify_compact

    verify_compact(jwt, public)
