"""``openid4vp://…``: an authorization request as a link (OpenID4VP 1.0, section 5).

Three forms, told apart by their parameters: ``request_uri`` (a signed request object to fetch), ``request`` (the
object itself), or the parameters one by one. The query is application/x-www-form-urlencoded (RFC 6749,
appendix B). Authority and path of the link mean nothing and are not looked at: browsers and verifiers fill
them differently. Nothing here is verified; the daemon does that.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

from msgspec import Struct

from ownerd.model.encoding import Json, parse_json
from ownerd.model.errors import InvalidArgument, NotSupported

SCHEMES: Final = ("openid4vp", "haip-vp", "eudi-openid4vp")
MAX_LINK_CHARS: Final = 128 * 1024  # what Linux takes as one argument of a process
MAX_PARAMETERS: Final = 40
MAX_ID_CHARS: Final = 2048 + 32

_LINK = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://[^/?#]*)?(?:/[^?#]*)?\?(?P<query>[^#]*)", re.ASCII
)
_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
# Parameters that are JSON and travel as its text (sections 5.1 and 5.5).
_JSON = frozenset({"dcql_query", "client_metadata", "transaction_data", "verifier_info"})


class ByReference(Struct, frozen=True):
    """A request object to fetch from ``request_uri``; ``post``: with POST and a nonce of ours (5.10)."""

    client_id: str
    request_uri: str
    post: bool


class ByValue(Struct, frozen=True):
    """A signed request object inside the link."""

    client_id: str
    request: str


class Plain(Struct, frozen=True):
    """Unsigned parameters, JSON where the standard says JSON."""

    parameters: dict[str, Json]


Link = ByReference | ByValue | Plain


def parse_link(text: str) -> Link:
    """Take a link apart. Nothing in the result is verified.

    Raises `NotSupported` for another scheme or method, `InvalidArgument` for what is malformed, oversized,
    doubled or contradictory.
    """
    parameters = _parameters(_query(text))
    client_id = parameters.get("client_id", "")
    if not 0 < len(client_id) <= MAX_ID_CHARS:
        raise InvalidArgument("the link has no client_id, or one that is too long")
    method = parameters.pop("request_uri_method", None)
    if "request_uri" in parameters:
        if method not in {None, "get", "post"}:
            raise NotSupported("request_uri_method is neither get nor post")
        _require_alone(parameters, "request_uri")
        return ByReference(client_id, parameters["request_uri"], post=method == "post")
    if method is not None:
        raise InvalidArgument("the link has request_uri_method without request_uri")
    if "request" in parameters:
        _require_alone(parameters, "request")
        return ByValue(client_id, parameters["request"])
    return Plain({name: _value(name, value) for name, value in parameters.items()})


def _query(text: str) -> str:
    if len(text) > MAX_LINK_CHARS:
        raise InvalidArgument(f"the link is longer than {MAX_LINK_CHARS} characters")
    if not _PRINTABLE.fullmatch(text):
        raise InvalidArgument("the link has spaces, control characters or letters outside ASCII")
    scheme, colon, _ = text.partition(":")
    if not colon or scheme.lower() not in SCHEMES:
        raise NotSupported(f"the link's scheme is none of {', '.join(SCHEMES)}")
    if "#" in text:
        raise InvalidArgument("the link has a fragment")
    found = _LINK.fullmatch(text)
    if found is None or not found["query"]:
        raise InvalidArgument("the link has no parameters")
    if _BAD_PERCENT.search(found["query"]):
        raise InvalidArgument("the link has a broken percent escape")
    return found["query"]


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as error:  # a UnicodeDecodeError is one
        raise InvalidArgument("the link's parameters are malformed or too many") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if not _NAME.fullmatch(name):
            raise InvalidArgument("the link has a parameter with a malformed name")
        if name in found:
            raise InvalidArgument(f"the link has {name} twice")
        found[name] = value
    return found


def _require_alone(parameters: dict[str, str], name: str) -> None:
    """Only what is signed counts (5.10.1, RFC 9101): a parameter beside it is an error or an attack."""
    others = sorted(parameters.keys() - {"client_id", name})
    if others:
        raise InvalidArgument(f"the link has {others[0]} beside {name}")
    if not parameters[name]:
        raise InvalidArgument(f"the link has an empty {name}")


def _value(name: str, text: str) -> Json:
    if name not in _JSON:
        return text
    try:
        return parse_json(text, max_bytes=MAX_LINK_CHARS)
    except InvalidArgument as error:
        raise InvalidArgument(f"the link's {name} is not JSON") from error
