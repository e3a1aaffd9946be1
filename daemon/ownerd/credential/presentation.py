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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct, field

from ownerd.credential.did import did_jwk, verification_method
from ownerd.credential.jwe import public_members, require_p256_public, required_members, seal_jwe
from ownerd.credential.jwt import compact_json, make_jwt, sign_jwt, signing_input, split_jwt
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import InternalError, InvalidArgument
from ownerd.model.names import VCT
from ownerd.model.request import Request

SALT_BYTES: Final = 16
VALID_SECONDS: Final = 24 * 60 * 60
KB_HEADER: Final = {"alg": "ES256", "typ": "kb+jwt"}

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


class Prepared(Struct, frozen=True):
    """All of a disclosure but its signatures and ``sd_hash``.

    ``issuer_signing_input`` is ``base64url(header).base64url(payload)``; ``disclosures`` are base64url
    strings in the order in which they will stand.
    """

    issuer_signing_input: str
    disclosures: tuple[str, ...]
    kb_header: dict[str, Json]
    kb_payload: dict[str, Json]


class Parts(Struct, frozen=True):
    """A presentation taken apart, nothing of it verified."""

    issuer_jwt: str
    disclosures: tuple[str, ...]
    kb_jwt: str


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


def _conceal(
    level: Mapping[str, Json], salt: Callable[[], str], path: tuple[str, ...] = ()
) -> tuple[dict[str, Json], list[tuple[tuple[str, ...], str]]]:
    """One level of the payload with digests in place of leaves, and the (path, disclosure) behind them."""
    shown: dict[str, Json] = {}
    disclosures: list[tuple[tuple[str, ...], str]] = []
    digests: list[str] = []
    for name, node in level.items():
        if isinstance(node, dict):
            shown[name], inner = _conceal(node, salt, (*path, name))
            disclosures += inner
        else:
            disclosure = format_b64u(compact_json([salt(), name, node[0]]))
            digests.append(_digest(disclosure))
            disclosures.append(((*path, name), disclosure))
    if digests:
        # Sorted, so that the order says nothing about the order of the claims (RFC 9901, 4.2.4.1).
        shown["_sd"] = sorted(digests)
    return shown, disclosures


class Binding(Struct, frozen=True):
    """Who holds a credential and until when: ``confirmed`` is the ``cnf`` key, P-256 public JWK like ``holder``.

    ``more`` are further members of the issuer-signed payload (``aud`` of a grant, ``owner_terms``).
    """

    holder: Mapping[str, Json]
    confirmed: Mapping[str, Json]
    issued_at: int
    expires_at: int
    more: Mapping[str, Json] = field(default_factory=dict)


def prepare_credential(
    claims: Sequence[tuple[tuple[str, ...], Json]], binding: Binding, rng: Callable[[int], bytes]
) -> tuple[str, list[tuple[tuple[str, ...], str]]]:
    """Return the issuer-signed JWT's signing input, and (path, disclosure) of every claim.

    Every disclosure takes a fresh 16-byte salt from ``rng``. Raises `InvalidArgument` for a reserved, repeated
    or nested claim, or a key that is not P-256.
    """
    holder = required_members(require_p256_public(binding.holder))
    confirmed = required_members(require_p256_public(binding.confirmed))
    did = did_jwk(holder)
    concealed, disclosures = _conceal(_tree(claims), lambda: format_b64u(rng(SALT_BYTES)))
    header = {"alg": "ES256", "typ": "dc+sd-jwt", "kid": verification_method(did)}
    payload = {
        "iss": did,
        "sub": did,
        "iat": binding.issued_at,
        "exp": binding.expires_at,
        "vct": VCT,
        "cnf": {"jwk": confirmed},
        **binding.more,
        "_sd_alg": "sha-256",
        **concealed,
    }
    return signing_input(header, payload), disclosures


def kb_payload(request: Request, issued_at: int, hashes: Sequence[str] = ()) -> dict[str, Json]:
    """Payload of a KB-JWT without ``sd_hash``; ``hashes`` are of the transaction data that is accepted."""
    payload: dict[str, Json] = {
        "iat": issued_at,
        "aud": request.provider.client_id,
        "nonce": request.nonce,
    }
    if hashes:
        payload["transaction_data_hashes"] = list(hashes)
        payload["transaction_data_hashes_alg"] = "sha-256"
    return payload


def prepare(
    claims: Sequence[tuple[tuple[str, ...], Json]],
    request: Request,
    *,
    holder_jwk: Mapping[str, Json],
    issued_at: int,
    rng: Callable[[int], bytes],
    hashes: Sequence[str] = (),
    more: Mapping[str, Json] | None = None,
) -> Prepared:
    """Compose the disclosure of ``claims`` (path, value) to the sender of ``request``.

    ``issued_at`` is in seconds since the epoch. ``hashes`` are of accepted transaction data; ``more`` are members
    of the issuer-signed payload. Raises as `prepare_credential`.
    """
    binding = Binding(holder_jwk, holder_jwk, issued_at, issued_at + VALID_SECONDS, more or {})
    issuer_part, disclosures = prepare_credential(claims, binding, rng)
    return Prepared(
        issuer_signing_input=issuer_part,
        disclosures=tuple(disclosure for _, disclosure in disclosures),
        kb_header=dict(KB_HEADER),
        kb_payload=kb_payload(request, issued_at, hashes),
    )


def statement_part(prepared: Prepared) -> dict[str, Json]:
    """What the statement holds of a disclosure, as JSON: exactly the fields of `Prepared`."""
    return {
        "issuer_signing_input": prepared.issuer_signing_input,
        "disclosures": list(prepared.disclosures),
        "kb_header": dict(prepared.kb_header),
        "kb_payload": dict(prepared.kb_payload),
    }


def finish(prepared: Prepared, key: ec.EllipticCurvePrivateKey) -> str:
    """Sign what was prepared; only ``sd_hash`` and the two signatures are new.

    Raises `InternalError` when ``key`` is not the holder key of the statement, or when any part of the
    output differs from ``prepared``.
    """
    holder = public_members(key)
    try:
        _, _, payload = split_jwt(prepared.issuer_signing_input + ".")
        theirs = payload["cnf"] == {"jwk": holder} and payload["iss"] == did_jwk(holder)
    except (InvalidArgument, KeyError) as error:
        raise InternalError("the statement does not hold a disclosure") from error
    if not theirs:
        raise InternalError("the holder key is not the one of the statement")
    issuer_jwt = sign_jwt(prepared.issuer_signing_input, key)
    presentation = bind(issuer_jwt, prepared, key)
    require_as_stated(presentation, prepared)
    return presentation


def bind(issuer_jwt: str, prepared: Prepared, key: ec.EllipticCurvePrivateKey) -> str:
    """Append the disclosures and the KB-JWT, signed by ``key``, to an issuer-signed JWT."""
    bound = "".join(f"{part}~" for part in (issuer_jwt, *prepared.disclosures))
    payload = {**prepared.kb_payload, "sd_hash": _digest(bound)}
    return bound + make_jwt(prepared.kb_header, payload, key)


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


def require_as_stated(presentation: str, prepared: Prepared) -> None:
    """Hold a finished presentation against what was stated, part by part.

    Raises `InternalError` on any difference but ``sd_hash``, which must be right, and the signatures, which were just
    made. This is the last gate before the envelope.
    """
    try:
        parts = parse_presentation(presentation)
        _, header, payload = split_jwt(parts.kb_jwt)
    except InvalidArgument as error:
        raise InternalError("the presentation is malformed") from error
    sd_hash = payload.pop("sd_hash", None)
    issuer_input = parts.issuer_jwt.rpartition(".")[0]
    if issuer_input != prepared.issuer_signing_input:  # 1. the credential is the stated one
        raise InternalError("the issuer-signed JWT is not the one of the statement")
    if parts.disclosures != prepared.disclosures:  # 2. exactly the stated values, in their order
        raise InternalError("the disclosures are not the ones of the statement")
    if (header, payload) != (prepared.kb_header, prepared.kb_payload):  # 3. for this audience and nonce
        raise InternalError("the key binding is not the one of the statement")
    if sd_hash != _digest(presentation[: len(presentation) - len(parts.kb_jwt)]):  # 4. bound to 1 and 2
        raise InternalError("the key binding does not cover the presentation")


def build_response(
    request: Request, presentations: Mapping[str, str], more: Mapping[str, Json] | None = None
) -> str:
    """Seal the authorization response to the request's key (OpenID4VP 1.0, sections 8.1 and 8.3).

    ``presentations`` are by credential query id; ``more`` are members of ours (``owner_terms``, ``handover``),
    which a verifier that does not know them ignores.
    """
    vp_token: Json = {query_id: [presentation] for query_id, presentation in presentations.items()}
    return seal_response(request, {"vp_token": vp_token, **(more or {})})


def seal_response(request: Request, members: Mapping[str, Json]) -> str:
    """Seal the members of any authorization response, with the request's ``state``, to the request's key."""
    response = dict(members)
    if request.state is not None:
        response["state"] = request.state
    return seal_jwe(compact_json(response), request.recipient.jwk, enc=request.recipient.enc)
