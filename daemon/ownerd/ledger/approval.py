"""Approvals: a signature over one entry's challenge, verified without the token that made it.

FIDO2 tokens sign an assertion (WebAuthn section 7.2). Cards and the recovery code sign a prefix of their own and the
challenge, so that none of the three ever stands for another.

`client_data` is the one and only ``clientDataJSON`` that an approval may carry, so it is compared byte by
byte instead of parsed. Authenticator data is 32 bytes SHA-256(RP ID) ‖ 1 byte flags ‖ 4 bytes counter, then
extensions where flag ED is set; they are covered by the signature and not read here.
"""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ownerd.ledger.facts import Enrolled
from ownerd.ledger.jwk import parse_jwk, public_key
from ownerd.ledger.signatures import Check, key_text
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import BadSignature, Malformed
from ownerd.model.names import ORIGIN, RP_ID
from ownerd.model.token import (
    Approval,
    CardApproval,
    Fido2Approval,
    RecoveryApproval,
    TokenCredential,
    TokenType,
)

CHALLENGE_BYTES: Final = 32

_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_ATTESTED: Final = 0x40
_EXTENSIONS: Final = 0x80
_FIXED_BYTES: Final = 37
_RP_ID_HASH: Final = hashlib.sha256(RP_ID.encode()).digest()


class Credential(Protocol):
    """What verifying needs of an enrolled token: `TokenCredential` and `EnrolledToken` both have it."""

    @property
    def id(self) -> str:
        """Token id."""

    @property
    def credential_id(self) -> bytes:
        """Credential id."""

    @property
    def public_key(self) -> dict[str, Json]:
        """P-256 public JWK."""

    @property
    def user_verification(self) -> bool:
        """Whether it was enrolled for use with user verification."""


class Card(Protocol):
    """What verifying needs of an enrolled card: `TokenCredential` and `EnrolledCard` both have it."""

    @property
    def type(self) -> TokenType:
        """Kind of token."""

    @property
    def id(self) -> str:
        """Token id."""

    @property
    def public_key(self) -> dict[str, Json]:
        """P-256, P-384 or RSA public JWK."""


def client_data(challenge: bytes) -> bytes:
    """Return the clientDataJSON for a challenge of 32 bytes. Raises `Malformed` for another length."""
    encoded = format_b64u(_require_challenge(challenge))
    return (
        f'{{"type":"webauthn.get","challenge":"{encoded}","origin":"{ORIGIN}","crossOrigin":false}}'.encode()
    )


def card_message(challenge: bytes) -> bytes:
    """Return what a card hashes and signs: "ownerd/card/v1" ‖ 0x00 ‖ challenge. Raises `Malformed`."""
    return b"ownerd/card/v1\x00" + _require_challenge(challenge)


def recovery_message(challenge: bytes) -> bytes:
    """Return what the recovery code's key signs: "ownerd/recovery/v1" ‖ 0x00 ‖ challenge. Raises `Malformed`."""
    return b"ownerd/recovery/v1\x00" + _require_challenge(challenge)


def _require_challenge(challenge: bytes) -> bytes:
    if len(challenge) != CHALLENGE_BYTES:
        raise Malformed("a challenge has 32 bytes")
    return challenge


def verify_approval(
    approval: Approval,
    challenge: bytes,
    *,
    token: Enrolled | TokenCredential | None,
    recovery_key: bytes | None = None,
) -> None:
    """Verify that an approval of any kind is over ``challenge``, by ``token`` or by the recovery code.

    ``token`` is the one enrolled under the approval's token id, ``recovery_key`` the public key (32 bytes) of the
    recovery code in force; None where there is none. Raises `BadSignature` or `Malformed`.
    """
    if isinstance(approval, RecoveryApproval):
        if recovery_key is None:
            raise BadSignature("approval is by a recovery code and none is set")
        verify_recovery(approval, challenge, recovery_key)
    elif token is None:
        raise BadSignature("approval is by a token that is not enrolled")
    elif isinstance(approval, CardApproval):
        verify_card(approval, challenge, token)
    elif token.type != "fido2":
        raise BadSignature("approval is by another kind of token")
    else:
        verify_fido2(approval, challenge, token)


def approval_check(
    approval: Approval,
    challenge: bytes,
    *,
    token: Enrolled | TokenCredential | None,
    recovery_key: bytes | None = None,
) -> Check:
    """Do what `verify_approval` does, up to the signature, which is returned to be verified elsewhere.

    Keys are not parsed: they must be those of an enrolment that was. Raises `BadSignature` or `Malformed`.
    """
    if isinstance(approval, RecoveryApproval):
        if recovery_key is None:
            raise BadSignature("approval is by a recovery code and none is set")
        return "Ed25519", recovery_key.hex(), approval.signature, recovery_message(challenge)
    if token is None:
        raise BadSignature("approval is by a token that is not enrolled")
    if isinstance(approval, CardApproval):
        _require_card(approval, token, parse_jwk(token.public_key).algorithm)
        message = card_message(challenge)
        return approval.algorithm, key_text(token.public_key), approval.signature, message
    if token.type != "fido2":
        raise BadSignature("approval is by another kind of token")
    return "fido2", key_text(token.public_key), approval.signature, _fido2_message(approval, challenge, token)


def _require_card(approval: CardApproval, token: Card, algorithm: str) -> None:
    # (1) It is this card's, and the card was enrolled as what the approval says.
    if approval.token != token.id or approval.type != token.type:
        raise BadSignature("approval is of another token")
    # (2) The key alone says which algorithm it signs with.
    if approval.algorithm != algorithm:
        raise BadSignature("approval is of another algorithm than the key")


def verify_card(approval: CardApproval, challenge: bytes, token: Card) -> None:
    """Verify that the enrolled card ``token`` approved ``challenge``. Raises `BadSignature` or `Malformed`."""
    key = parse_jwk(token.public_key)
    _require_card(approval, token, key.algorithm)
    # (3) The signature.
    key.verify(approval.signature, card_message(challenge))


def verify_recovery(approval: RecoveryApproval, challenge: bytes, public_key: bytes) -> None:
    """Verify that the recovery code with Ed25519 ``public_key`` (32 bytes) approved ``challenge``.

    Raises `BadSignature`, or `Malformed` when ``public_key`` is not a key.
    """
    message = recovery_message(challenge)
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError as error:
        raise Malformed("recovery key is not an Ed25519 key") from error
    try:
        key.verify(approval.signature, message)
    except InvalidSignature as error:
        raise BadSignature("recovery signature does not hold") from error


def verify_fido2(approval: Fido2Approval, challenge: bytes, credential: Credential) -> None:
    """Verify that the enrolled ``credential`` approved ``challenge``. Raises `BadSignature` or `Malformed`."""
    signed = _fido2_message(approval, challenge, credential)
    # (6) The signature, ES256 over authenticator data ‖ SHA-256(client data).
    try:
        public_key(credential.public_key).verify(approval.signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise BadSignature("approval signature does not hold") from error


def _fido2_message(approval: Fido2Approval, challenge: bytes, credential: Credential) -> bytes:
    """What the credential must have signed, if all but the signature is right."""
    # (1) It is this token's credential, and not another one's.
    if approval.token != credential.id or approval.credential_id != credential.credential_id:
        raise BadSignature("approval is of another credential")
    # (2) It is about this challenge: exact bytes, so neither type nor origin can differ.
    if approval.client_data_json != client_data(challenge):
        raise BadSignature("approval is of another challenge")
    # (3) It was made for our RP ID.
    data = approval.authenticator_data
    if len(data) < _FIXED_BYTES:
        raise Malformed("authenticator data is too short")
    if data[:32] != _RP_ID_HASH:
        raise BadSignature("approval is of another RP ID")
    # (4) Somebody touched, and was verified exactly where the token was enrolled so.
    flags = data[32]
    if not flags & _USER_PRESENT:
        raise BadSignature("approval is without user presence")
    if bool(flags & _USER_VERIFIED) != credential.user_verification:
        raise BadSignature("approval is in another mode than the token was enrolled in")
    # (5) Nothing rides along that is not announced; an assertion has no attested credential data.
    if flags & _ATTESTED or bool(flags & _EXTENSIONS) != (len(data) > _FIXED_BYTES):
        raise Malformed("authenticator data has the wrong parts")
    return data + hashlib.sha256(approval.client_data_json).digest()
