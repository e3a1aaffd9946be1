"""Tokens as the core sees them: what was found, what is enrolled, what an approval is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ownerd.model.encoding import Json
from ownerd.model.secret import Secret

Transport = Literal["usb", "pcsc", "software"]


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token that is present now. ``id`` is stable while it stays plugged in; ``pin_tries`` None: unknown."""

    id: str
    name: str
    transport: Transport
    aaguid: str
    firmware: int
    has_pin: bool
    pin_tries: int | None
    software: bool


@dataclass(frozen=True, slots=True)
class TokenCredential:
    """The enrolled credential of one token: what finds the token again and verifies its signatures.

    ``public_key`` is a P-256 public JWK. ``user_verification`` is the mode of use: hmac-secret differs
    with and without it, so a keyslot belongs to one mode.
    """

    type: Literal["fido2"]
    id: str
    credential_id: bytes
    public_key: dict[str, Json]
    user_verification: bool
    aaguid: str
    firmware: int
    software: bool
    name: str


@dataclass(frozen=True, slots=True)
class SecretHandle:
    """Names one secret inside a token: an hmac-secret salt (32 bytes) and the secret's key check value.

    ``check`` is None only at the first use, when the secret is not known yet.
    """

    salt: bytes
    check: bytes | None = None


@dataclass(frozen=True, slots=True)
class Fido2Approval:
    """A WebAuthn assertion, stored whole, over ``SHA-256(client_data_json)`` (WebAuthn section 7.2)."""

    token: str
    credential_id: bytes
    client_data_json: bytes
    authenticator_data: bytes
    signature: bytes
    type: Literal["fido2"] = "fido2"


Approval = Fido2Approval


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """One touch: the approval, and one 32-byte secret per handle that was sent."""

    approval: Approval
    secrets: tuple[Secret, ...] = field(default=())
