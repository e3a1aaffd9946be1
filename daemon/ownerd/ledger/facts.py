"""Public facts of an entry, by kind, and what each kind must have: the table of docs/LEDGER.md in code.

Facts stand in the leaf in clear, so they name no value and no provider.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from ownerd.ledger.note import parse_verifier_key
from ownerd.ledger.shape import Members, format_b64u, require_count, require_data
from ownerd.model.encoding import Json
from ownerd.model.errors import Malformed
from ownerd.model.names import RP_ID, Kind
from ownerd.model.token import TokenCredential

MAX_ERASED: Final = 4096
MAX_CREDENTIAL_BYTES: Final = 1023  # CTAP 2.1: maxCredentialIdLength is below 1024

NEEDS_APPROVAL: Final = frozenset(
    {
        Kind.TOKEN_ENROLLED,
        Kind.TOKEN_REMOVED,
        Kind.RECOVERY_SET,
        Kind.UNLOCKED,
        Kind.OWNER_READ,
        Kind.OWNER_CHANGE,
        Kind.PROVIDER_PINNED,
        Kind.DISCLOSURE,  # unless it names a live grant
        Kind.GRANT,
        Kind.KEY_ROTATED,
        Kind.ERASED,
        Kind.RESTORED,
    }
)
MAY_BE_UNSIGNED: Final = frozenset({Kind.LOCKED, Kind.REQUEST, Kind.REFUSED, Kind.FAILED})

_ERROR_NAME = re.compile(r"[A-Z][A-Za-z]{1,63}", re.ASCII)
_REASON = re.compile(r"[ -~]{1,64}", re.ASCII)
_TOKEN_ID = re.compile(r"[!-~]{1,64}", re.ASCII)
_AAGUID = re.compile(r"[0-9a-fA-F-]{1,36}", re.ASCII)


@dataclass(frozen=True, slots=True)
class EnrolledToken:
    """What a ``token-enrolled`` entry publishes of a FIDO2 credential. ``public_key`` is a P-256 JWK."""

    id: str
    credential_id: bytes
    public_key: dict[str, Json]
    user_verification: bool
    aaguid: str
    software: bool


def public_key(jwk: Json) -> ec.EllipticCurvePublicKey:
    """JWK with exactly ``kty`` EC, ``crv`` P-256, ``x``, ``y`` → key on the curve. Raises `Malformed`."""
    members = Members(jwk, ("kty", "crv", "x", "y"))
    if members.value("kty") != "EC" or members.value("crv") != "P-256":
        raise Malformed("key is not a P-256 JWK")
    x = int.from_bytes(members.data("x", 32), "big")
    y = int.from_bytes(members.data("y", 32), "big")
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError as error:
        raise Malformed("key is not a point of P-256") from error


def format_token(credential: TokenCredential | EnrolledToken) -> dict[str, Json]:
    """Write the ``token`` member of a ``token-enrolled`` entry's facts."""
    facts = {
        "type": "fido2",
        "id": credential.id,
        "credential": format_b64u(credential.credential_id),
        "public_key": {name: credential.public_key.get(name) for name in ("kty", "crv", "x", "y")},
        "rp_id": RP_ID,
        "user_verification": credential.user_verification,
        "aaguid": credential.aaguid,
        "software": credential.software,
    }
    parse_token(facts)
    return facts


def parse_token(value: Json) -> EnrolledToken:
    """Read the ``token`` member of a ``token-enrolled`` entry's facts. Raises `Malformed`."""
    names = ("type", "id", "credential", "public_key", "rp_id", "user_verification", "aaguid", "software")
    members = Members(value, names)
    if members.value("type") != "fido2" or members.value("rp_id") != RP_ID:
        raise Malformed("token is of an unknown type or another RP ID")
    public_key(members.value("public_key"))
    return EnrolledToken(
        id=_require(_TOKEN_ID, members.text("id")),
        credential_id=members.data("credential", max_bytes=MAX_CREDENTIAL_BYTES),
        public_key=dict(members.value("public_key")),
        user_verification=members.boolean("user_verification"),
        aaguid=_require(_AAGUID, members.text("aaguid")),
        software=members.boolean("software"),
    )


def _require(form: re.Pattern[str], text: str) -> str:
    if not form.fullmatch(text):
        raise Malformed("a fact is not of its form")
    return text


def _genesis(facts: Json) -> None:
    members = Members(facts, ("verifier_key", "opening_key"))
    parse_verifier_key(members.text("verifier_key"))
    require_data(members.value("opening_key"), 32)


def _token_enrolled(facts: Json) -> None:
    parse_token(Members(facts, ("token",)).value("token"))


def _token_removed(facts: Json) -> None:
    _require(_TOKEN_ID, Members(facts, ("token",)).text("token"))


def _disclosure(facts: Json) -> None:
    members = Members(facts, (), ("grant",))
    if "grant" in members:
        members.count("grant")


def _delivered(facts: Json) -> None:
    Members(facts, ("entry",)).count("entry")


def _grant_ended(facts: Json) -> None:
    Members(facts, ("grant",)).count("grant")


def _error(facts: Json) -> None:
    _require(_ERROR_NAME, Members(facts, ("error",)).text("error"))


def _locked(facts: Json) -> None:
    _require(_REASON, Members(facts, ("reason",)).text("reason"))


def _erased(facts: Json) -> None:
    entries = Members(facts, ("entries",)).value("entries")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_ERASED:
        raise Malformed("erased entries are not a list")
    numbers = [require_count(one) for one in entries]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise Malformed("erased entries are not in ascending order")


def _none(facts: Json) -> None:
    Members(facts, ())


_FACTS: Final[dict[Kind, Callable[[Json], None]]] = {
    Kind.GENESIS: _genesis,
    Kind.TOKEN_ENROLLED: _token_enrolled,
    Kind.TOKEN_REMOVED: _token_removed,
    Kind.DISCLOSURE: _disclosure,
    Kind.DELIVERED: _delivered,
    Kind.GRANT_ENDED: _grant_ended,
    Kind.FAILED: _error,
    Kind.REFUSED: _error,
    Kind.LOCKED: _locked,
    Kind.ERASED: _erased,
}


def require_facts(kind: Kind, facts: Json) -> None:
    """Raise `Malformed` unless ``facts`` have exactly the members of ``kind``, each of its form."""
    _FACTS.get(kind, _none)(facts)
