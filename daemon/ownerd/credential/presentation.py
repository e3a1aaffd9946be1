"""The disclosure itself: SD-JWT VC with key binding (RFC 9901), self-asserted under a pairwise key.

    <issuer-signed JWT>~<disclosure>~…~<KB-JWT>

`prepare` composes everything that can be known before the touch; that is what the statement holds
(`statement_part`) and what the owner approves. `finish` adds the two signatures and ``sd_hash``, nothing
else, and proves it by parsing its own output again (DESIGN invariant 8).

Issuer-signed JWT: header alg ES256, typ dc+sd-jwt, kid DID#0; payload iss = sub = did:jwk of the holder
key, iat, exp (iat + 24 hours: the credential is made for one answer), vct, cnf, _sd_alg, and per level the
sorted ``_sd`` digests. ``address`` is a structured SD-JWT object (RFC 9901, 6.2): always disclosed as an
object of digests, its members one disclosure each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ownerd.credential.did import did_jwk, verification_method
from ownerd.credential.jwe import public_members, require_p256_public, seal_jwe
from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json_object
from ownerd.model.errors import InternalError, InvalidArgument
from ownerd.model.names import VCT
from ownerd.model.request import Request

SALT_BYTES: Final = 16
VALID_SECONDS: Final = 24 * 60 * 60

# Names that carry the credential itself; a claim of that name would replace one (RFC 9901, 4.2.4.2).
RESERVED: Final = frozenset(
    {
        "iss",
        "sub",
        "aud",
        "iat",
        "nbf",
        "exp",
        "jti",
        "vct",
        "vct#integrity",
        "cnf",
        "status",
        "_sd",
        "_sd_alg",
        "...",
    }
)

_REGISTRY = jws.JWSRegistry(algorithms=["ES256"])


@dataclass(frozen=True, slots=True)
class Prepared:
    """All of a disclosure but its signatures and ``sd_hash``.

    ``issuer_signing_input`` is ``base64url(header).base64url(payload)``; ``disclosures`` are base64url
    strings in the order in which they will stand.
    """

    issuer_signing_input: str
    disclosures: tuple[str, ...]
    kb_header: dict[str, Json]
    kb_payload: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Parts:
    """A presentation taken apart, nothing of it verified."""

    issuer_jwt: str
    disclosures: tuple[str, ...]
    kb_jwt: str


def _compact(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def _digest(text: str) -> str:
    return format_b64u(hashlib.sha256(text.encode("ascii")).digest())


def _require_plain(value: Json) -> None:
    """A value with these member names would be read as digests by a verifier (RFC 9901, 4.2.2)."""
    if isinstance(value, dict):
        if value.keys() & {"_sd", "_sd_alg", "..."}:
            raise InvalidArgument("claim value has a member that SD-JWT reserves")
        for member in value.values():
            _require_plain(member)
    elif isinstance(value, list):
        for member in value:
            _require_plain(member)


def _tree(claims: Iterable[tuple[tuple[str, ...], Json]]) -> dict[str, Json]:
    """Nest the claims by path: leaves are 1-tuples, so that an object value is not taken for a level."""
    root: dict[str, Json] = {}
    for path, value in claims:
        if not path or path[0] in RESERVED or any(name in {"_sd", "..."} for name in path):
            raise InvalidArgument("claim has no name or a reserved one")
        _require_plain(value)
        level = root
        for name in path[:-1]:
            level = level.setdefault(name, {})
            if not isinstance(level, dict):
                raise InvalidArgument("claim lies inside another claim")
        if path[-1] in level:
            raise InvalidArgument("claim is given twice")
        level[path[-1]] = (value,)
    return root


def _conceal(level: Mapping[str, Json], salt: Callable[[], str]) -> tuple[dict[str, Json], list[str]]:
    """One level of the payload with digests in place of leaves, and the disclosures behind them."""
    shown: dict[str, Json] = {}
    disclosures: list[str] = []
    digests: list[str] = []
    for name, node in level.items():
        if isinstance(node, dict):
            shown[name], inner = _conceal(node, salt)
            disclosures += inner
        else:
            disclosure = format_b64u(_compact([salt(), name, node[0]]))
            digests.append(_digest(disclosure))
            disclosures.append(disclosure)
    if digests:
        # Sorted, so that the order says nothing about the order of the claims (RFC 9901, 4.2.4.1).
        shown["_sd"] = sorted(digests)
    return shown, disclosures


def prepare(
    claims: Sequence[tuple[tuple[str, ...], Json]],
    request: Request,
    *,
    holder_jwk: Mapping[str, Json],
    issued_at: int,
    rng: Callable[[int], bytes],
) -> Prepared:
    """Compose the disclosure of ``claims`` (path, value) to the sender of ``request``.

    ``issued_at`` is in seconds since the epoch. Every disclosure takes a fresh 16-byte salt from ``rng``.
    Raises `InvalidArgument` for a reserved, repeated or nested claim, or a holder key that is not P-256.
    """
    members = require_p256_public(holder_jwk)
    holder = {name: members[name] for name in ("kty", "crv", "x", "y")}
    did = did_jwk(holder)
    concealed, disclosures = _conceal(_tree(claims), lambda: format_b64u(rng(SALT_BYTES)))
    header = {"alg": "ES256", "typ": "dc+sd-jwt", "kid": verification_method(did)}
    payload = {
        "iss": did,
        "sub": did,
        "iat": issued_at,
        "exp": issued_at + VALID_SECONDS,
        "vct": VCT,
        "cnf": {"jwk": holder},
        "_sd_alg": "sha-256",
        **concealed,
    }
    return Prepared(
        issuer_signing_input=f"{format_b64u(_compact(header))}.{format_b64u(_compact(payload))}",
        disclosures=tuple(disclosures),
        kb_header={"alg": "ES256", "typ": "kb+jwt"},
        kb_payload={"iat": issued_at, "aud": request.provider.client_id, "nonce": request.nonce},
    )


def statement_part(prepared: Prepared) -> dict[str, Json]:
    """What the statement holds of a disclosure, as JSON: exactly the fields of `Prepared`."""
    return {
        "issuer_signing_input": prepared.issuer_signing_input,
        "disclosures": list(prepared.disclosures),
        "kb_header": dict(prepared.kb_header),
        "kb_payload": dict(prepared.kb_payload),
    }


def _sign(header: Mapping[str, Json], payload: bytes, key: ECKey) -> str:
    return jws.serialize_compact(dict(header), payload, key, registry=_REGISTRY)


def _split_jwt(jwt: str) -> tuple[str, dict[str, Json], dict[str, Json]]:
    """(signing input, header, payload) of a compact JWS, unverified. Raises `InvalidArgument`."""
    signing_input, _, signature = jwt.rpartition(".")
    parse_b64u(signature)
    header, _, payload = signing_input.partition(".")
    return signing_input, parse_json_object(parse_b64u(header)), parse_json_object(parse_b64u(payload))


def finish(prepared: Prepared, key: ec.EllipticCurvePrivateKey) -> str:
    """Sign what was prepared; only ``sd_hash`` and the two signatures are new.

    Raises `InternalError` when ``key`` is not the holder key of the statement, or when any part of the
    output differs from ``prepared``.
    """
    try:
        _, header, payload = _split_jwt(prepared.issuer_signing_input + ".")
        holder = public_members(key)
        if payload["cnf"] != {"jwk": holder} or payload["iss"] != did_jwk(holder):
            raise InternalError("the holder key is not the one of the statement")
        signer = ECKey.import_key(key)
        issuer_jwt = _sign(header, parse_b64u(prepared.issuer_signing_input.partition(".")[2]), signer)
        bound = "".join(f"{part}~" for part in (issuer_jwt, *prepared.disclosures))
        kb_jwt = _sign(
            prepared.kb_header, _compact({**prepared.kb_payload, "sd_hash": _digest(bound)}), signer
        )
    except (InvalidArgument, JoseError, KeyError) as error:
        raise InternalError("the statement does not hold a disclosure") from error
    presentation = bound + kb_jwt
    verify_finished(presentation, prepared, holder)
    return presentation


def parse_presentation(text: str) -> Parts:
    """Take a presentation apart at its ``~``. Raises `InvalidArgument` when it has no KB-JWT."""
    issuer_jwt, *disclosures, kb_jwt = text.split("~")
    if not disclosures and not kb_jwt:
        raise InvalidArgument("not an SD-JWT with key binding")
    for jwt in (issuer_jwt, kb_jwt):
        if jwt.count(".") != 2:
            raise InvalidArgument("not an SD-JWT with key binding")
    return Parts(issuer_jwt, tuple(disclosures), kb_jwt)


def format_presentation(parts: Parts) -> str:
    """Inverse of `parse_presentation`."""
    return "~".join((parts.issuer_jwt, *parts.disclosures, parts.kb_jwt))


def verify_finished(presentation: str, prepared: Prepared, holder: Mapping[str, Json]) -> None:
    """Hold a finished presentation against what was stated, part by part.

    Raises `InternalError` on any difference but ``sd_hash`` and the signatures, and when one of these is
    wrong. This is the last gate before the envelope.
    """
    try:
        parts = parse_presentation(presentation)
        issuer_input, _, _ = _split_jwt(parts.issuer_jwt)
        _, kb_header, kb_payload = _split_jwt(parts.kb_jwt)
        public = ECKey.import_key(dict(holder))
        for jwt in (parts.issuer_jwt, parts.kb_jwt):
            jws.deserialize_compact(jwt, public, registry=_REGISTRY)
    except (InvalidArgument, JoseError, ValueError) as error:
        raise InternalError("the presentation is malformed or its signature does not hold") from error
    sd_hash = kb_payload.pop("sd_hash", None)
    if issuer_input != prepared.issuer_signing_input:  # 1. the credential is the stated one
        raise InternalError("the issuer-signed JWT is not the one of the statement")
    if parts.disclosures != prepared.disclosures:  # 2. exactly the stated values, in their order
        raise InternalError("the disclosures are not the ones of the statement")
    if (kb_header, kb_payload) != (prepared.kb_header, prepared.kb_payload):  # 3. for this audience and nonce
        raise InternalError("the key binding is not the one of the statement")
    if sd_hash != _digest(presentation[: len(presentation) - len(parts.kb_jwt)]):  # 4. bound to 1 and 2
        raise InternalError("the key binding does not cover the presentation")


def build_response(request: Request, presentations: Mapping[str, str]) -> str:
    """Seal the authorization response to the request's key (OpenID4VP 1.0, sections 8.1 and 8.3).

    ``presentations`` are by credential query id.
    """
    vp_token: Json = {query_id: [presentation] for query_id, presentation in presentations.items()}
    response: dict[str, Json] = {"vp_token": vp_token}
    if request.state is not None:
        response["state"] = request.state
    return seal_jwe(_compact(response), request.recipient.jwk, enc=request.recipient.enc)
