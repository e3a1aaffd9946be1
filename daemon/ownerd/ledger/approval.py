"""Approvals: a token's assertion over one entry's challenge, verified without a token (WebAuthn section 7.2).

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

from ownerd.ledger.facts import public_key
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import BadSignature, Malformed
from ownerd.model.names import ORIGIN, RP_ID
from ownerd.model.token import Fido2Approval

CHALLENGE_BYTES: Final = 32

_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_ATTESTED: Final = 0x40
_EXTENSIONS: Final = 0x80
_FIXED_BYTES: Final = 37


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


def client_data(challenge: bytes) -> bytes:
    """Return the clientDataJSON for a challenge of 32 bytes. Raises `Malformed` for another length."""
    if len(challenge) != CHALLENGE_BYTES:
        raise Malformed("a challenge has 32 bytes")
    encoded = format_b64u(challenge)
    return (
        f'{{"type":"webauthn.get","challenge":"{encoded}","origin":"{ORIGIN}","crossOrigin":false}}'.encode()
    )


def verify_fido2(approval: Fido2Approval, challenge: bytes, credential: Credential) -> None:
    """Verify that the enrolled ``credential`` approved ``challenge``. Raises `BadSignature` or `Malformed`."""
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
    if data[:32] != hashlib.sha256(RP_ID.encode()).digest():
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
    # (6) The signature, ES256 over authenticator data ‖ SHA-256(client data).
    signed = data + hashlib.sha256(approval.client_data_json).digest()
    try:
        public_key(credential.public_key).verify(approval.signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise BadSignature("approval signature does not hold") from error
