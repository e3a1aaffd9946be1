"""What finds an enrolled PKCS#11 token again: the ``credential_id`` of its `TokenCredential`.

Canonical JSON: ``{"agree":<hex CKA_ID>|null,"label":…,"manufacturer":…,"model":…,"serial":…,"sign":<hex CKA_ID>,"v":1}``;
label, manufacturer, model and serial number as C_GetTokenInfo gives them, without padding. It holds no secret and
proves nothing: what a token signs is verified against the enrolled key.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ownerd.model.canonical import format_canonical
from ownerd.model.encoding import Json, parse_json_object
from ownerd.model.errors import InvalidArgument

MAX_BYTES: Final = 1023
_NAMES: Final = ("label", "manufacturer", "model", "serial")


class Identity(Struct, frozen=True):
    """How a token calls itself."""

    label: str
    manufacturer: str
    model: str
    serial: str


class Reference(Struct, frozen=True):
    """A token, and the CKA_IDs of its signing key and of its agreement key (None: it only signs)."""

    identity: Identity
    sign: bytes
    agree: bytes | None


def format_reference(reference: Reference) -> bytes:
    """Reference → bytes. Raises `InvalidArgument` when they would be more than `MAX_BYTES`."""
    members: dict[str, Json] = {name: getattr(reference.identity, name) for name in _NAMES}
    members |= {
        "v": 1,
        "sign": reference.sign.hex(),
        "agree": None if reference.agree is None else reference.agree.hex(),
    }
    data = format_canonical(members)
    if len(data) > MAX_BYTES:
        raise InvalidArgument("the token's names and key ids are too long")
    return data


def parse_reference(data: bytes) -> Reference:
    """Inverse of `format_reference`. Raises `InvalidArgument`."""
    members = parse_json_object(data)
    try:
        agree = members["agree"]
        reference = Reference(
            Identity(*(str(members[name]) for name in _NAMES)),
            bytes.fromhex(str(members["sign"])),
            None if agree is None else bytes.fromhex(str(agree)),
        )
    except (KeyError, ValueError) as error:
        raise InvalidArgument("the token's reference is malformed") from error
    if members["v"] != 1 or format_reference(reference) != data:
        raise InvalidArgument("the token's reference is malformed")
    return reference
