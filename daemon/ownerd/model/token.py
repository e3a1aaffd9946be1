"""Tokens as the core sees them: what was found, what is enrolled, what an approval is."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from ownerd.model.encoding import Json
from ownerd.model.secret import Secret

Transport = Literal["usb", "pcsc", "software", "pkcs11"]


class TokenInfo(Struct, frozen=True):
    """A token that is present now. ``id`` is stable while it stays plugged in; ``pin_tries`` None: unknown."""

    id: str
    name: str
    transport: Transport
    aaguid: str
    firmware: int
    has_pin: bool
    pin_tries: int | None
    software: bool


TokenType = Literal["fido2", "piv", "pkcs11"]
CurveName = Literal["P-256", "P-384"]
CardAlgorithm = Literal["ES256", "ES384", "RS256"]


class TokenCredential(Struct, frozen=True):
    """The enrolled credential of one token: what finds the token again and verifies its signatures.

    ``public_key`` is the public JWK of the signing key (P-256; for cards also P-384 or RSA).
    ``user_verification`` is the mode of use: hmac-secret differs with and without it, so a keyslot belongs
    to one mode; cards are always used with their PIN. ``agreement_key`` is the public JWK (P-256, P-384) of
    a card's ECDH key, None for FIDO2 and for cards that only sign: those approve and hold no keyslot.
    """

    type: TokenType
    id: str
    credential_id: bytes
    public_key: dict[str, Json]
    user_verification: bool
    aaguid: str
    firmware: int
    software: bool
    name: str
    agreement_key: dict[str, Json] | None = None

    @property
    def opens(self) -> bool:
        """Whether the token yields secrets, and so may hold a keyslot."""
        return self.type == "fido2" or self.agreement_key is not None


class SecretHandle(Struct, frozen=True):
    """Names one secret inside a token, and holds the secret's key check value.

    ``salt`` is 32 bytes for hmac-secret (FIDO2), or an uncompressed point (X9.62) on the curve of the card's
    agreement key, whose shared secret (the x coordinate, SP 800-56A) is the secret.
    ``check`` is None only at the first use, when the secret is not known yet.
    """

    salt: bytes
    check: bytes | None = None


class Fido2Approval(Struct, frozen=True):
    """A WebAuthn assertion, stored whole, over ``SHA-256(client_data_json)`` (WebAuthn section 7.2)."""

    token: str
    credential_id: bytes
    client_data_json: bytes
    authenticator_data: bytes
    signature: bytes
    type: Literal["fido2"] = "fido2"


class CardApproval(Struct, frozen=True):
    """A card's signature over an entry's challenge by the enrolled signing key.

    ``type`` is ``piv`` (SP 800-73-4, key 9C) or ``pkcs11``; ``algorithm`` is a JWS name, and what is hashed and
    signed is "ownerd/card/v1" ‖ 0x00 ‖ challenge. ECDSA signatures are r ‖ s (RFC 7518, section 3.4).
    """

    token: str
    algorithm: CardAlgorithm
    signature: bytes
    type: Literal["piv", "pkcs11"] = "piv"


class RecoveryApproval(Struct, frozen=True):
    """An Ed25519 signature over "ownerd/recovery/v1" ‖ 0x00 ‖ challenge by the recovery code's key."""

    signature: bytes
    type: Literal["recovery"] = "recovery"


Approval = Fido2Approval | CardApproval | RecoveryApproval


class TokenAnswer(Struct, frozen=True):
    """One touch: the approval, and one 32-byte secret per handle that was sent."""

    approval: Approval
    secrets: tuple[Secret, ...] = field(default=())
