"""What an app does with the answer: open it, and verify the credential (RFC 9901, section 7.3).

A self-asserted credential is signed by the key that it names itself (did:jwk), so its signature says that
one holder made all of it; nonce, audience and ``sd_hash`` say that it answers this request.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from msgspec import Struct

from ownerctl.errors import BadPresentation
from ownerd.credential.did import parse_did_jwk
from ownerd.credential.jwe import JwePrivateKey, open_jwe, require_p256_public, required_members, thumbprint
from ownerd.credential.presentation import RESERVED, Parts, parse_presentation
from ownerd.model.encoding import Json, format_b64u, parse_b64u, parse_json, parse_json_object
from ownerd.model.errors import InvalidArgument, NotSupported
from ownerd.model.names import VCT

_REGISTRY = jws.JWSRegistry(algorithms=["ES256"])
_CLOCK_SKEW_SECONDS = 300
_MAX_DEPTH = 8


class Received(Struct, frozen=True):
    """A verified answer: the holder's DID for this provider, the claims, and the presentation as it came."""

    holder: str
    claims: dict[str, Json]
    presentation: str


def open_response(compact: str, key: JwePrivateKey, *, state: str | None) -> str:
    """Open the authorization response (OpenID4VP 1.0, 8.1 and 8.3); returns its one presentation.

    Raises `BadPresentation`.
    """
    try:
        response = parse_json_object(open_jwe(compact, key))
    except (InvalidArgument, NotSupported) as error:
        raise BadPresentation("the response does not open with the key of the request") from error
    if response.get("state") != state:
        raise BadPresentation("the response answers another state")
    answers = response.get("vp_token")
    if not isinstance(answers, dict) or len(answers) != 1:
        raise BadPresentation("the response does not hold one answer")
    (presentations,) = answers.values()
    if (
        not isinstance(presentations, list)
        or len(presentations) != 1
        or not isinstance(presentations[0], str)
    ):
        raise BadPresentation("the response does not hold one presentation")
    return presentations[0]


def verify_presentation(
    presentation: str, *, nonce: str, audience: str, now_seconds: float | None = None
) -> Received:
    """Verify a presentation for this nonce and audience. Raises `BadPresentation`, naming what fails."""
    now = time.time() if now_seconds is None else now_seconds
    try:
        parts = parse_presentation(presentation)
        issuer = _verified(parts.issuer_jwt, typ="dc+sd-jwt", key=_holder_key(parts.issuer_jwt))
        bound = _verified(parts.kb_jwt, typ="kb+jwt", key=_bound_key(issuer))
        claims = _disclosed(issuer, parts)
    except (InvalidArgument, JoseError, ValueError, KeyError, TypeError) as error:
        raise BadPresentation("the credential is malformed or a signature does not hold") from error
    covered = presentation[: len(presentation) - len(parts.kb_jwt)]
    expiry = issuer.get("exp", 0)
    checks = (
        (issuer.get("vct") == VCT, "the credential is of another type"),
        (isinstance(expiry, int) and now < expiry + _CLOCK_SKEW_SECONDS, "the credential has expired"),
        (bound.get("nonce") == nonce, "the answer is to another nonce"),
        (bound.get("aud") == audience, "the answer is to another audience"),
        (bound.get("sd_hash") == _digest(covered), "the key binding does not cover the presentation"),
    )
    for holds, sentence in checks:
        if not holds:
            raise BadPresentation(sentence)
    return Received(str(issuer["iss"]), claims, presentation)


def _digest(text: str) -> str:
    return format_b64u(hashlib.sha256(text.encode("ascii")).digest())


def _payload(jwt: str) -> dict[str, Json]:
    return parse_json_object(parse_b64u(jwt.split(".")[1]))


def _holder_key(issuer_jwt: str) -> dict[str, Json]:
    return parse_did_jwk(_payload(issuer_jwt)["iss"])


def _bound_key(issuer: Mapping[str, Json]) -> dict[str, Json]:
    bound = require_p256_public(issuer["cnf"]["jwk"])
    if thumbprint(bound) != thumbprint(parse_did_jwk(issuer["iss"])):
        raise InvalidArgument("key binding is to another key than the holder's")
    return bound


def _verified(jwt: str, *, typ: str, key: Mapping[str, Json]) -> dict[str, Json]:
    public = ECKey.import_key(required_members(key))
    header = jws.deserialize_compact(jwt, public, registry=_REGISTRY).headers()
    if header.get("typ") != typ:
        raise InvalidArgument("a JWT has another type")
    return _payload(jwt)


def _disclosed(issuer: Mapping[str, Json], parts: Parts) -> dict[str, Json]:
    """Claims by dotted name; every disclosure must be asked for by one digest, once (RFC 9901, 7.1)."""
    if issuer.get("_sd_alg", "sha-256") != "sha-256":
        raise InvalidArgument("digests are not SHA-256")
    by_digest = {_digest(text): parse_json(parse_b64u(text)) for text in parts.disclosures}
    if len(by_digest) != len(parts.disclosures):
        raise InvalidArgument("a disclosure stands twice")
    claims: dict[str, Json] = {}
    seen: set[str] = set()
    _collect(issuer, (), by_digest, claims, seen)
    if seen != set(by_digest):
        raise InvalidArgument("a disclosure belongs to no digest")
    # Digests are in no order that means anything (RFC 9901, 4.2.4.1); names are.
    return dict(sorted(claims.items()))


def _collect(
    level: Mapping[str, Json],
    path: tuple[str, ...],
    by_digest: Mapping[str, Any],
    claims: dict[str, Json],
    seen: set[str],
) -> None:
    if len(path) > _MAX_DEPTH:
        raise InvalidArgument("claims are nested too deep")
    members = {name: value for name, value in level.items() if path or name not in RESERVED}
    for digest in level.get("_sd", []):
        if digest in seen:
            raise InvalidArgument("a digest stands twice")
        if digest in by_digest:
            seen.add(digest)
            _salt, name, value = by_digest[digest]
            if not isinstance(name, str) or name in members or name in RESERVED:
                raise InvalidArgument("a disclosure has a name that is taken")
            members[name] = value
    members.pop("_sd", None)
    for name, value in members.items():
        here = (*path, name)
        if isinstance(value, dict):
            _collect(value, here, by_digest, claims, seen)
        elif ".".join(here) in claims:
            raise InvalidArgument("a claim stands twice")
        else:
            claims[".".join(here)] = value
