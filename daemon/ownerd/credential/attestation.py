"""Who vouches for a provider under a ``verifier_attestation`` client id (OpenID4VP 1.0, sections 5.9.3, 12).

An attester that the owner put into ``trust.d/*.attester.json`` signs a JWT which says that a key belongs to a
name. The file is ``{"issuer": "https://…", "keys": [JWK, …]}``, P-256 public keys only.

As with certificates there is **no revocation check** (``status`` is not looked at): the daemon has no network.
A stolen key serves its thief until the attestation expires or the owner takes the attester away.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ownerd.credential import request_checks as checks
from ownerd.credential.compact_jws import ClaimedJws, is_signed_by, parse_jws, require_signing_key
from ownerd.credential.dns_name import is_dns_name
from ownerd.credential.jwe import thumbprint
from ownerd.credential.shown_text import is_shown_text
from ownerd.model.encoding import Json, parse_b64u, parse_json_object
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported

TYP: Final = "verifier-attestation+jwt"
MAX_ATTESTATION_CHARS: Final = 32 * 1024
MAX_ATTESTER_BYTES: Final = 64 * 1024
MAX_KEYS: Final = 16
MAX_NAME_CHARS: Final = 64
MAX_URIS: Final = 64

_WHAT = "verifier attestation"


class Attester(Struct, frozen=True):
    """Somebody the owner lets vouch for providers: https issuer and P-256 public keys (JWK)."""

    issuer: str
    keys: tuple[dict[str, Json], ...]


class Attested(Struct, frozen=True):
    """A verified attestation: name to show, the provider's key, its thumbprint, and the attester's key.

    ``anchor`` is the attester key's RFC 7638 thumbprint in hex: what the owner accepts with the first touch.
    """

    name: str
    jwk: dict[str, Json]
    thumbprint: str
    anchor: str


def parse_attester(text: str | bytes) -> Attester:
    """Read an attester file; inverse of `format_attester`. Raises `InvalidArgument`, `NotSupported`."""
    members = parse_json_object(text, max_bytes=MAX_ATTESTER_BYTES)
    if members.keys() != {"issuer", "keys"}:
        raise InvalidArgument("attester has not exactly the members issuer and keys")
    checks.uri_host(members["issuer"], "attester issuer")
    keys = members["keys"]
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise InvalidArgument(f"attester does not have 1 to {MAX_KEYS} keys")
    return Attester(members["issuer"], tuple(require_signing_key(key) for key in keys))


def format_attester(attester: Attester) -> str:
    """The text of an attester file."""
    return json.dumps({"issuer": attester.issuer, "keys": list(attester.keys)}, indent=2) + "\n"


def require_name(subject: str) -> str:
    """``subject`` where it can be shown as a name: a DNS name, or visible words that do not pose as one."""
    if is_dns_name(subject):
        return subject
    if not is_shown_text(subject, max_chars=MAX_NAME_CHARS):
        raise InvalidArgument("attested name is neither a DNS name nor plain visible text")
    if "." in subject and " " not in subject:
        raise InvalidArgument("attested name looks like a DNS name and is none")
    return subject


def _signed_by(claimed: ClaimedJws, attesters: Sequence[Attester]) -> dict[str, Json]:
    issuer = claimed.payload.get("iss")
    known = [attester for attester in attesters if attester.issuer == issuer]
    if not known:
        raise NotAllowed("the attester is not in trust.d")
    for attester in known:
        for key in attester.keys:
            if is_signed_by(claimed, key):
                return key
    raise NotAllowed("the signature of the verifier attestation does not hold")


def _require_current(payload: dict[str, Json], now_ms: int) -> None:
    """``exp`` is there, and ``exp``, ``nbf`` and ``iat`` hold now, with the leeway of a request."""
    for name in ("exp", "nbf", "iat"):
        value = payload.get(name)
        if (name in payload or name == "exp") and (isinstance(value, bool) or not isinstance(value, int)):
            raise InvalidArgument(f"verifier attestation {name} is not a time in seconds")
    now = now_ms / 1000
    if now >= payload["exp"] + checks.LEEWAY_SECONDS:
        raise NotAllowed("the verifier attestation has expired")
    if now < max(payload.get("nbf", 0), payload.get("iat", 0)) - checks.LEEWAY_SECONDS:
        raise NotAllowed("the verifier attestation is not valid yet")


def _require_use(payload: dict[str, Json], subject: str, response_uri: str, now_ms: int) -> None:
    if payload.get("sub") != subject:
        raise NotAllowed("the verifier attestation is for another client id")
    _require_current(payload, now_ms)
    audience = payload.get("aud", checks.AUDIENCE)
    if checks.AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise NotAllowed("the verifier attestation is for another audience")
    if "redirect_uris" in payload:
        uris = payload["redirect_uris"]
        if not isinstance(uris, list) or len(uris) > MAX_URIS:
            raise InvalidArgument("verifier attestation has malformed redirect_uris")
        if response_uri not in uris:  # as they stand: no normalisation, no prefixes
            raise NotAllowed("response_uri is not one of the verifier attestation's")


def verify_attestation(
    compact: Json, subject: str, attesters: Sequence[Attester], *, response_uri: str, now_ms: int
) -> Attested:
    """Verify the attestation in the ``jwt`` header for ``verifier_attestation:<subject>``.

    That the request object is signed by the key it returns is the caller's to verify. Raises `NotAllowed`
    when attester, signature, subject, time or response_uri do not hold; `InvalidArgument`, `NotSupported`.
    """
    name = require_name(subject)
    if isinstance(compact, str) and len(compact) > MAX_ATTESTATION_CHARS:
        raise InvalidArgument("verifier attestation is too large")
    claimed = parse_jws(compact, _WHAT, typ=TYP)
    for other in ("x5c", "jwt"):  # its key comes from trust.d alone
        if other in claimed.header:
            raise NotSupported(f"verifier attestation header {other} is not supported")
    attester_key = _signed_by(claimed, attesters)
    _require_use(claimed.payload, subject, response_uri, now_ms)
    confirmation = claimed.payload.get("cnf")
    if not isinstance(confirmation, dict) or confirmation.keys() != {"jwk"}:
        raise InvalidArgument("verifier attestation has no cnf with a jwk alone")
    jwk = require_signing_key(confirmation["jwk"])
    return Attested(name, jwk, thumbprint(jwk), parse_b64u(thumbprint(attester_key)).hex())
