"""Checks of what a token answered, before anything of it is used (WebAuthn sections 7.1 and 7.2). Pure.

Every `verify_x` raises `ProtocolBroken` when the answer breaks the protocol, and `WrongKey` when it is well
formed and about another credential or secret than the one that was enrolled.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.ctap2.extensions import HmacSecretExtension
from fido2.webauthn import AuthenticatorData
from msgspec import Struct

from ownerd.ledger.approval import verify_fido2
from ownerd.ledger.facts import public_key
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.errors import LedgerError, ProtocolBroken, WrongKey
from ownerd.model.names import RP_ID
from ownerd.model.secret import Secret
from ownerd.model.token import Fido2Approval, SecretHandle, TokenCredential
from ownerd.tokens.ctap import Assertion

ES256: Final = -7
MAX_CREDENTIAL_ID_BYTES: Final = 1023
MAX_AUTH_DATA_BYTES: Final = 1024
MAX_SIGNATURE_BYTES: Final = 72
MAX_COUNT: Final = 255
SECRET_BYTES: Final = 32
_IV_BYTES: Final = 16
_RP_ID_HASH: Final = hashlib.sha256(RP_ID.encode()).digest()
_FLAG = AuthenticatorData.FLAG


class Created(Struct, frozen=True):
    """A verified new credential: its id and its P-256 public JWK."""

    credential_id: bytes
    public_key: dict[str, Json]


def token_id(credential_id: bytes) -> str:
    """Id of an enrolled token: first 16 hex digits of SHA-256(credential id)."""
    return hashlib.sha256(credential_id).hexdigest()[:16]


def small_count(value: Any) -> int:
    """Return a counter that a token reported. Raises `ProtocolBroken` for anything but a small integer."""
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ProtocolBroken("the token's counter is not a count")
    return value


def verify_creation(auth_data: AuthenticatorData, *, user_verified: bool) -> Created:
    """Verify the authenticator data of a new credential; attestation of any format is not looked at."""
    # (1) For our RP ID.
    if auth_data.rp_id_hash != _RP_ID_HASH:
        raise ProtocolBroken("the token's answer is for another RP ID")
    # (2) Somebody touched; the PIN that was given was used; a credential and extensions are there.
    wanted = _FLAG.UP | _FLAG.AT | _FLAG.ED | (_FLAG.UV if user_verified else _FLAG(0))
    if auth_data.flags & wanted != wanted:
        raise ProtocolBroken("the token's answer has the wrong flags")
    created = auth_data.credential_data
    if created is None or auth_data.extensions is None:
        raise ProtocolBroken("the token's answer has the wrong parts")
    # (3) hmac-secret is on: without it there would be nothing to open the vault with.
    if auth_data.extensions.get(HmacSecretExtension.NAME) is not True:
        raise ProtocolBroken("the token made a credential without hmac-secret")
    # (4) A credential id of a length that CTAP allows.
    if not 0 < len(created.credential_id) <= MAX_CREDENTIAL_ID_BYTES:
        raise ProtocolBroken("the token's credential id has no possible length")
    # (5) An ES256 key that is a point of P-256.
    key = created.public_key
    if (key.get(1), key.get(3), key.get(-1)) != (2, ES256, 1):
        raise ProtocolBroken("the token made another kind of key than was asked for")
    x, y = key.get(-2), key.get(-3)
    if not isinstance(x, bytes) or not isinstance(y, bytes):
        raise ProtocolBroken("the token's public key has the wrong parts")
    jwk = {"kty": "EC", "crv": "P-256", "x": format_b64u(x), "y": format_b64u(y)}
    try:
        public_key(jwk)
    except LedgerError as error:
        raise ProtocolBroken("the token's public key is not a point of P-256") from error
    return Created(bytes(created.credential_id), jwk)


def verify_preflight(
    answer: Assertion, client_data_hash: bytes, credentials: Sequence[TokenCredential]
) -> TokenCredential:
    """Return which of ``credentials`` signed ``client_data_hash``. UP and UV do not matter here."""
    found = next((item for item in credentials if item.credential_id == _answered_id(answer)), None)
    if found is None:
        raise ProtocolBroken("the token answered for a credential that was not asked for")
    if answer.auth_data.rp_id_hash != _RP_ID_HASH:
        raise ProtocolBroken("the token's answer is for another RP ID")
    try:
        public_key(found.public_key).verify(
            answer.signature, bytes(answer.auth_data) + client_data_hash, ec.ECDSA(hashes.SHA256())
        )
    except (InvalidSignature, LedgerError) as error:
        raise ProtocolBroken("the token's signature does not hold") from error
    return found


def verify_secret_output(auth_data: AuthenticatorData, secrets: int, pin_protocol: int) -> bytes:
    """Return the encrypted hmac-secret output, its form and length verified (CTAP 2.1, section 12.5)."""
    output = (auth_data.extensions or {}).get(HmacSecretExtension.NAME)
    expected = secrets * SECRET_BYTES + (_IV_BYTES if pin_protocol == 2 else 0)
    if not isinstance(output, bytes) or len(output) != expected:
        raise ProtocolBroken("the token's secret has the wrong length")
    return output


def verify_approval(
    answer: Assertion, credential: TokenCredential, challenge: bytes, client_data_json: bytes
) -> Fido2Approval:
    """Verify an assertion over ``challenge`` and return it as the approval to keep.

    The ledger's own verification runs on it, so that nothing is used which the ledger would not accept.
    """
    # (1) The enrolled credential, and not another one of this token.
    if _answered_id(answer) != credential.credential_id:
        raise WrongKey("the token answered with another credential")
    # (2) Sizes: it is kept whole, for ever.
    if len(answer.auth_data) > MAX_AUTH_DATA_BYTES or len(answer.signature) > MAX_SIGNATURE_BYTES:
        raise ProtocolBroken("the token's answer is too large")
    approval = Fido2Approval(
        token=credential.id,
        credential_id=credential.credential_id,
        client_data_json=client_data_json,
        authenticator_data=bytes(answer.auth_data),
        signature=bytes(answer.signature),
    )
    # (3) RP ID hash, UP, UV as enrolled, no attested data, signature over exactly this challenge.
    try:
        verify_fido2(approval, challenge, credential)
    except LedgerError as error:
        raise ProtocolBroken("the token's approval does not hold") from error
    return approval


def verify_secrets(
    secrets: Sequence[Secret], handles: Sequence[SecretHandle], key_check: Callable[[Secret], bytes]
) -> None:
    """Verify one secret of 32 bytes per handle, each as its key check value says."""
    if len(secrets) != len(handles) or any(len(secret) != SECRET_BYTES for secret in secrets):
        raise ProtocolBroken("the token's secret has the wrong length")
    # Two salts with one secret would let one touch open what another provider's touch opens.
    if len({handle.salt for handle in handles}) == 2 and secrets[0] == secrets[1]:
        raise ProtocolBroken("the token gives one secret for two salts")
    for secret, handle in zip(secrets, handles, strict=True):
        if handle.check is not None and not hmac.compare_digest(key_check(secret), handle.check):
            raise WrongKey("the token gave another secret than the one enrolled")


def _answered_id(answer: Assertion) -> bytes:
    identifier = answer.credential.get("id")
    if not isinstance(identifier, bytes) or answer.credential.get("type") != "public-key":
        raise ProtocolBroken("the token's answer names no credential")
    return identifier
