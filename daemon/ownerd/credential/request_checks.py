"""The parameters of an authorization request, one rule a function (OpenID4VP 1.0, sections 5 and 8).

Works on JSON that is parsed already; whose it is was settled elsewhere. Parameters that the standard has
and this version does not are refused by name. Parameters that no table here names are ignored, as section
5 demands, at most `MAX_IGNORED` of them. Known and ignored: ``iss`` (section 5 demands it), ``jti``,
``client_id_scheme`` of the drafts, ``wallet_nonce`` (nothing here sends one), and members of
``client_metadata`` such as names and logos, which nobody vouches for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from ownerd.credential.dns_name import is_dns_name
from ownerd.credential.jwe import ALG, require_encryption_key, thumbprint
from ownerd.credential.shown_text import require_shown_text
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotAllowed, NotSupported
from ownerd.model.request import RecipientKey

AUDIENCE: Final = "https://self-issued.me/v2"
LEEWAY_SECONDS: Final = 60
MAX_IGNORED: Final = 32
MAX_URI_CHARS: Final = 2048
MAX_KEYS: Final = 16
# OpenID4VP has no place for a purpose. The drafts of OpenID Connect for Identity Assurance had this very
# request parameter, 3 to 300 characters, to be displayed; other wallets ignore it.
MIN_PURPOSE_CHARS: Final = 3
MAX_PURPOSE_CHARS: Final = 300

TAKEN: Final = frozenset(
    {
        "client_id",
        "response_type",
        "response_mode",
        "response_uri",
        "nonce",
        "state",
        "dcql_query",
        "transaction_data",
        "scope",
        "id_token_type",
        "client_metadata",
        "purpose",
        "aud",
        "exp",
        "nbf",
        "iat",
    }
)
REFUSED: Final = (
    "verifier_info",
    "verifier_attestations",
    "request_uri",
    "request_uri_method",
    "presentation_definition",
    "presentation_definition_uri",
    "id_token_hint",
    "claims",
    "trust_chain",
)
CONTRADICTORY: Final = ("redirect_uri", "request")

# Unreserved characters of RFC 3986, the only ones that section 5.2 allows in nonce and state.
_URL_SAFE = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)
_URI_CHARACTERS = re.compile(r"[!-~]+", re.ASCII)


def require_known(parameters: Mapping[str, Json]) -> None:
    """Refuse by name what this version leaves out (`NotSupported`) or what contradicts itself."""
    for name in REFUSED:
        if name in parameters:
            raise NotSupported(f"request parameter {name} is not supported")
    for name in CONTRADICTORY:
        if name in parameters:
            raise InvalidArgument(f"request parameter {name} must not stand here")
    if len(parameters.keys() - TAKEN) > MAX_IGNORED:
        raise InvalidArgument(f"request has more than {MAX_IGNORED} unknown parameters")


def parse_response_type(parameters: Mapping[str, Json]) -> str:
    """``response_type`` vp_token or id_token, ``response_mode`` direct_post.jwt: no answer leaves unencrypted."""
    kinds = {"response_type": ("vp_token", "id_token"), "response_mode": ("direct_post.jwt",)}
    for name, known in kinds.items():
        value = parameters.get(name)
        if not isinstance(value, str):
            raise InvalidArgument(f"request has no {name}")
        if value not in known:
            raise NotSupported(f"only {name} {' or '.join(known)} is supported")
    return str(parameters["response_type"])


def parse_nonce(parameters: Mapping[str, Json]) -> str:
    """``nonce``: 16 to 512 URL safe characters."""
    nonce = parameters.get("nonce")
    if not isinstance(nonce, str) or not 16 <= len(nonce) <= 512 or not _URL_SAFE.fullmatch(nonce):
        raise InvalidArgument("request nonce is not 16 to 512 URL safe characters")
    return nonce


def parse_state(parameters: Mapping[str, Json]) -> str | None:
    """``state``: 1 to 2048 URL safe characters, or None where absent."""
    if "state" not in parameters:
        return None
    state = parameters["state"]
    if not isinstance(state, str) or not 1 <= len(state) <= 2048 or not _URL_SAFE.fullmatch(state):
        raise InvalidArgument("request state is not 1 to 2048 URL safe characters")
    return state


def parse_purpose(parameters: Mapping[str, Json]) -> str | None:
    """``purpose``: the provider's own words, shown to the owner as such, or None where absent."""
    if "purpose" not in parameters:
        return None
    purpose = require_shown_text(parameters["purpose"], "request purpose", max_chars=MAX_PURPOSE_CHARS)
    if len(purpose) < MIN_PURPOSE_CHARS:
        raise InvalidArgument(f"request purpose is shorter than {MIN_PURPOSE_CHARS} characters")
    return purpose


def uri_host(uri: Json, what: str) -> str:
    """Host of an https URI without user, fragment, odd characters or IP address; lowercase."""
    if not isinstance(uri, str) or not 0 < len(uri) <= MAX_URI_CHARS or not _URI_CHARACTERS.fullmatch(uri):
        raise InvalidArgument(f"{what} is not a URI")
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgument(f"{what} is not a URI") from error
    # URL parsers disagree about backslashes; none is needed. A user part fails at the host below.
    if not uri.startswith("https://") or "\\" in uri or "#" in uri or port == 0:
        raise InvalidArgument(f"{what} is not an https URI without user and fragment")
    if host is None or not is_dns_name(host) or parts.netloc.lower() not in {host, f"{host}:{port}"}:
        raise InvalidArgument(f"{what} has no DNS name as host")
    return host


def _moment(parameters: Mapping[str, Json], name: str) -> int | None:
    value = parameters.get(name)
    if name in parameters and (isinstance(value, bool) or not isinstance(value, int)):
        raise InvalidArgument(f"request {name} is not a time in seconds")
    return value


def require_current(parameters: Mapping[str, Json], now_ms: int) -> None:
    """``exp``, ``nbf`` and ``iat``, where given, hold now, with 60 seconds of leeway."""
    now = now_ms / 1000
    expires, starts, issued = (_moment(parameters, name) for name in ("exp", "nbf", "iat"))
    if expires is not None and now >= expires + LEEWAY_SECONDS:
        raise NotAllowed("the request has expired")
    if starts is not None and now < starts - LEEWAY_SECONDS:
        raise NotAllowed("the request is not valid yet")
    if issued is not None and now < issued - LEEWAY_SECONDS:
        raise NotAllowed("the request was issued in the future")


def require_audience(parameters: Mapping[str, Json], response_host: str) -> None:
    """``aud``, where given, is the symbolic wallet of section 5.8, or a URL on the provider's own host.

    A widely used library puts its own request URI there. That names no wallet, so it says as much as a
    missing ``aud``, which JAR (RFC 9101) allows; the name of another wallet is refused.
    """
    audience = parameters.get("aud", AUDIENCE)
    for entry in audience if isinstance(audience, list) and len(audience) == 1 else [audience]:
        if not isinstance(entry, str):
            raise InvalidArgument("request aud is malformed")
        if entry != AUDIENCE and uri_host(entry, "request aud") != response_host:
            raise NotAllowed("the request is for another wallet")


def _require_format(metadata: Mapping[str, Json]) -> None:
    formats = metadata.get("vp_formats_supported")
    if not isinstance(formats, dict):
        raise InvalidArgument("client_metadata has no vp_formats_supported")
    ours = formats.get("dc+sd-jwt")
    if ours is None:
        raise NotSupported("the provider does not take dc+sd-jwt")
    if not isinstance(ours, dict):
        raise InvalidArgument("vp_formats_supported is malformed")
    for name in ("sd-jwt_alg_values", "kb-jwt_alg_values"):
        values = ours.get(name, ["ES256"])
        if not isinstance(values, list):
            raise InvalidArgument("vp_formats_supported is malformed")
        if "ES256" not in values:
            raise NotSupported("the provider does not take ES256")


def _pick_enc(metadata: Mapping[str, Json]) -> str:
    offered = metadata.get("encrypted_response_enc_values_supported", ["A128GCM"])
    if not isinstance(offered, list) or not offered or not all(isinstance(enc, str) for enc in offered):
        raise InvalidArgument("encrypted_response_enc_values_supported is malformed")
    for enc in ("A256GCM", "A128GCM"):
        if enc in offered:
            return enc
    raise NotSupported("the provider takes neither A256GCM nor A128GCM")


def _is_ours(key: Mapping[str, Json]) -> bool:
    kind = (key.get("kty"), key.get("crv"), key.get("alg"))
    return kind == ("EC", "P-256", ALG) and key.get("use", "enc") == "enc"


def parse_recipient(parameters: Mapping[str, Json], *, login: bool = False) -> RecipientKey:
    """``client_metadata``: the first P-256 key for ECDH-ES in ``jwks``, and the best ``enc`` for it.

    A ``login`` asks for no credential, so it need not name formats. Raises `NotSupported` when the provider
    offers no key, format or algorithm of ours.
    """
    metadata = parameters.get("client_metadata")
    if not isinstance(metadata, dict):
        raise InvalidArgument("request has no client_metadata")
    if not login:
        _require_format(metadata)
    enc = _pick_enc(metadata)
    keys = metadata["jwks"].get("keys") if isinstance(metadata.get("jwks"), dict) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise InvalidArgument(f"client_metadata jwks does not hold 1 to {MAX_KEYS} keys")
    if not all(isinstance(key, dict) and isinstance(key.get("kid"), str) for key in keys):
        raise InvalidArgument("client_metadata jwks has a key without kid")
    if len({key["kid"] for key in keys}) < len(keys):
        raise InvalidArgument("client_metadata jwks has two keys with one kid")
    if any("d" in key or "k" in key for key in keys):
        raise InvalidArgument("client_metadata jwks holds a secret key")
    for key in keys:
        if _is_ours(key):
            jwk = require_encryption_key(key)
            return RecipientKey(jwk, thumbprint(jwk), ALG, enc)
    raise NotSupported("the provider has no P-256 key for ECDH-ES")
