"""Public facts of an entry, by kind, and what each kind must have: the table of docs/LEDGER.md in code.

Facts stand in the leaf in clear, so they name no value and no provider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final, Literal

from msgspec import Struct

from ownerd.ledger.jwk import EC_MEMBERS, RSA_MEMBERS, parse_jwk, public_key
from ownerd.ledger.note import parse_verifier_key
from ownerd.ledger.shape import Members, format_b64u, require_count, require_data
from ownerd.model.clock import parse_time
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, Malformed
from ownerd.model.names import RP_ID, Kind
from ownerd.model.token import CardAlgorithm, TokenCredential

MAX_ERASED: Final = 4096
ED25519_BYTES: Final = 32
MAX_GRANT_USES: Final = 100_000
MAX_GRANT_PER_HOUR: Final = 3600
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
MAY_BE_RECOVERED: Final = frozenset(  # what the recovery code may approve: getting back in, and no disclosure
    {Kind.TOKEN_ENROLLED, Kind.TOKEN_REMOVED, Kind.RECOVERY_SET, Kind.UNLOCKED}
)
MAY_BE_UNSIGNED: Final = frozenset({Kind.LOCKED, Kind.REQUEST, Kind.REFUSED, Kind.FAILED})

_ERROR_NAME = re.compile(r"[A-Z][A-Za-z]{1,63}", re.ASCII)
_REASON = re.compile(r"[ -~]{1,64}", re.ASCII)
_TOKEN_ID = re.compile(r"[!-~]{1,64}", re.ASCII)
_AAGUID = re.compile(r"[0-9a-fA-F-]{1,36}", re.ASCII)


class EnrolledToken(Struct, frozen=True):
    """What a ``token-enrolled`` entry publishes of a FIDO2 credential. ``public_key`` is a P-256 JWK."""

    id: str
    credential_id: bytes
    public_key: dict[str, Json]
    user_verification: bool
    aaguid: str
    software: bool
    type: Literal["fido2"] = "fido2"


class EnrolledCard(Struct, frozen=True):
    """What a ``token-enrolled`` entry publishes of a card. ``public_key`` is a P-256, P-384 or RSA JWK."""

    type: Literal["piv", "pkcs11"]
    id: str
    public_key: dict[str, Json]
    algorithm: CardAlgorithm
    software: bool


Enrolled = EnrolledToken | EnrolledCard


def format_token(credential: TokenCredential | Enrolled) -> dict[str, Json]:
    """Write the ``token`` member of a ``token-enrolled`` entry's facts. Raises `Malformed`."""
    facts: dict[str, Json] = {"type": credential.type, "id": credential.id, "software": credential.software}
    jwk = credential.public_key
    if isinstance(credential, EnrolledCard) or credential.type != "fido2":
        names = RSA_MEMBERS if jwk.get("kty") == "RSA" else EC_MEMBERS
        facts["public_key"] = {name: jwk.get(name) for name in names}
        facts["algorithm"] = parse_jwk(facts["public_key"]).algorithm
    else:
        facts["public_key"] = {name: jwk.get(name) for name in EC_MEMBERS}
        facts["credential"] = format_b64u(credential.credential_id)
        facts["rp_id"] = RP_ID
        facts["user_verification"] = credential.user_verification
        facts["aaguid"] = credential.aaguid
    parse_token(facts)
    return facts


def parse_token(value: Json) -> Enrolled:
    """Read the ``token`` member of a ``token-enrolled`` entry's facts. Raises `Malformed`."""
    type_ = value.get("type") if isinstance(value, dict) else None
    if type_ in ("piv", "pkcs11"):
        return _parse_card(type_, value)
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


def _parse_card(type_: Literal["piv", "pkcs11"], value: Json) -> EnrolledCard:
    members = Members(value, ("type", "id", "public_key", "algorithm", "software"))
    algorithm = parse_jwk(members.value("public_key")).algorithm
    if members.value("algorithm") != algorithm:
        raise Malformed("token names another algorithm than its key has")
    return EnrolledCard(
        type=type_,
        id=_require(_TOKEN_ID, members.text("id")),
        public_key=dict(members.value("public_key")),
        algorithm=algorithm,
        software=members.boolean("software"),
    )


def recovery_key(facts: Mapping[str, Json]) -> bytes:
    """Return the Ed25519 public key (32 bytes) of a ``recovery-set`` entry's facts. Raises `Malformed`."""
    return Members(facts, ("public_key",)).data("public_key", ED25519_BYTES)


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


def _recovery_set(facts: Json) -> None:
    recovery_key(facts)


def _key_rotated(facts: Json) -> None:
    # None where only the vault key or one provider's key was rotated; both keys where the log's keys were.
    if facts != {}:
        _genesis(facts)


def _disclosure(facts: Json) -> None:
    members = Members(facts, (), ("grant",))
    if "grant" in members:
        members.count("grant")


def _grant(facts: Json) -> None:
    members = Members(facts, ("until", "count", "per_hour"))
    try:
        parse_time(members.text("until"))
    except InvalidArgument as error:
        raise Malformed("a grant's end is not a time") from error
    for name, most in (("count", MAX_GRANT_USES), ("per_hour", MAX_GRANT_PER_HOUR)):
        if not 1 <= members.count(name) <= most:
            raise Malformed("a grant's uses are out of range")


def _answer(facts: Json) -> None:
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
    Kind.RECOVERY_SET: _recovery_set,
    Kind.KEY_ROTATED: _key_rotated,
    Kind.RESTORED: _genesis,  # always with new keys: whoever has the backup may have had the old ones
    Kind.DISCLOSURE: _disclosure,
    Kind.DELIVERED: _answer,
    Kind.RECEIPT: _answer,
    Kind.GRANT: _grant,
    Kind.GRANT_ENDED: _grant_ended,
    Kind.FAILED: _error,
    Kind.REFUSED: _error,
    Kind.LOCKED: _locked,
    Kind.ERASED: _erased,
}


def require_facts(kind: Kind, facts: Json) -> None:
    """Raise `Malformed` unless ``facts`` have exactly the members of ``kind``, each of its form."""
    _FACTS.get(kind, _none)(facts)


__all__ = [
    "ED25519_BYTES",
    "MAX_CREDENTIAL_BYTES",
    "MAX_ERASED",
    "MAX_GRANT_PER_HOUR",
    "MAX_GRANT_USES",
    "MAY_BE_RECOVERED",
    "MAY_BE_UNSIGNED",
    "NEEDS_APPROVAL",
    "Enrolled",
    "EnrolledCard",
    "EnrolledToken",
    "format_token",
    "parse_token",
    "public_key",
    "recovery_key",
    "require_facts",
]
