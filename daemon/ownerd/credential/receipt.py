"""What a provider returned, as an app hands it in: a signed acceptance or confirmation, or data about the owner.

A receipt is a compact JWS (ES256, typ `TYP` or none), or any other text. A JWS counts as the provider's own only when
the key in its header (``x5c`` leaf, or ``jwk``) has the RFC 7638 thumbprint of the key that signed that provider's
request; the chain behind ``x5c`` is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from ownerd.credential.jwe import public_members, require_p256_public, required_members, thumbprint
from ownerd.credential.jwt import split_jwt, verify_jwt
from ownerd.credential.x509_identity import leaf_key, parse_x5c
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, NotAllowed, OwnerdError

TYP: Final = "ownerd-receipt+jwt"
MAX_RECEIPT_BYTES: Final = 64 * 1024
_COMPACT = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}", re.ASCII)


class ReceiptSignature(StrEnum):
    """What is known of a receipt's signature. A bad one is refused, not recorded."""

    GOOD = "good"
    UNKNOWN_KEY = "unknown-key"
    NONE = "none"


class Receipt(Struct, frozen=True):
    """A receipt: the text as handed in; ``payload`` of a JWS, else None. ``terms`` is the digest it accepts."""

    text: str
    payload: dict[str, Json] | None
    signature: ReceiptSignature
    terms: str | None


def read_receipt(text: str, request_key: str | None) -> Receipt:
    """Read a receipt; ``request_key`` is the thumbprint of the provider's request key, None for unsigned askers.

    Raises `InvalidArgument` when it is empty or too large, `NotAllowed` when a signature by the provider's key
    does not hold.
    """
    if not text or len(text.encode("utf-8", "surrogatepass")) > MAX_RECEIPT_BYTES:
        raise InvalidArgument(f"a receipt has 1 to {MAX_RECEIPT_BYTES} bytes")
    if not _COMPACT.fullmatch(text):
        return Receipt(text, None, ReceiptSignature.NONE, None)
    try:
        _, header, payload = split_jwt(text)
    except InvalidArgument:
        return Receipt(text, None, ReceiptSignature.NONE, None)
    if header.get("typ", TYP) != TYP:
        # A request object or an id token by the same key is no receipt (RFC 8725, 3.11).
        raise InvalidArgument("the JWT was made for something else than a receipt")
    terms = payload.get("owner_terms")
    digest = terms if isinstance(terms, str) and len(terms) <= 64 else None
    key = _key(header)
    if key is None or request_key is None or thumbprint(key) != request_key:
        return Receipt(text, payload, ReceiptSignature.UNKNOWN_KEY, digest)
    try:
        verify_jwt(text, key)
    except InvalidArgument as error:
        raise NotAllowed("the provider's signature of the receipt does not hold") from error
    return Receipt(text, payload, ReceiptSignature.GOOD, digest)


def _key(header: Mapping[str, Json]) -> dict[str, Json] | None:
    """The P-256 key that a header brings, without members that do not count; None where there is none."""
    try:
        if "x5c" in header:
            return public_members(leaf_key(parse_x5c(header["x5c"])[0]))
        if "jwk" in header:
            return required_members(require_p256_public(header["jwk"]))
    except OwnerdError:
        return None
    return None
