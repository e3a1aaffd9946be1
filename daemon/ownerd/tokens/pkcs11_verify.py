"""Checks of what a PKCS#11 token answered, before anything of it is used. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from ownerd.ledger.approval import CHALLENGE_BYTES, verify_card
from ownerd.ledger.jwk import EcKey, parse_jwk
from ownerd.model.errors import (
    BadSignature,
    InvalidArgument,
    LedgerError,
    ProtocolBroken,
    Unsupported,
    WrongKey,
)
from ownerd.model.secret import Secret
from ownerd.model.token import CardApproval, SecretHandle, TokenCredential

MAX_HANDLES: Final = 2


def agreement_key(credential: TokenCredential) -> ec.EllipticCurvePublicKey:
    """The enrolled key of a credential that yields secrets. Raises `Unsupported` when there is none."""
    if credential.agreement_key is None:
        raise Unsupported("the token only signs")
    key = parse_jwk(credential.agreement_key)
    if not isinstance(key, EcKey):
        raise Unsupported("the token's agreement key is not an EC key")
    return key.key


def require_arguments(credential: TokenCredential, challenge: bytes, handles: Sequence[SecretHandle]) -> None:
    """Raise `InvalidArgument` for a question that no PKCS#11 token is to be asked, `Unsupported` for one this cannot."""
    if credential.type != "pkcs11":
        raise InvalidArgument("the credential is of another kind of token")
    if len(challenge) != CHALLENGE_BYTES:
        raise InvalidArgument("a challenge has 32 bytes")
    if len(handles) > MAX_HANDLES:
        raise InvalidArgument("a token takes at most two points")
    if not handles:
        return
    curve = agreement_key(credential).curve
    for handle in handles:
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(curve, handle.salt)
        except ValueError as error:
            raise InvalidArgument("a handle is not a point of the token's curve") from error
        if len(handle.salt) != 1 + 2 * (curve.key_size // 8):
            raise InvalidArgument("a handle is not an uncompressed point")


def verify_approval(approval: CardApproval, challenge: bytes, credential: TokenCredential) -> None:
    """Verify the token's signature with the ledger's own check, which keeps the approval for ever."""
    try:
        verify_card(approval, challenge, credential)
    except BadSignature as error:
        raise WrongKey("the token signed with another key than the one enrolled") from error
    except LedgerError as error:
        raise ProtocolBroken("the token's approval does not hold") from error


def verify_secrets(
    secrets: Sequence[Secret], handles: Sequence[SecretHandle], key_check: Callable[[Secret], bytes]
) -> None:
    """Verify one secret per handle, each as its key check value says."""
    if len(secrets) != len(handles):
        raise ProtocolBroken("the token gave another number of secrets than was asked for")
    # Two points with one secret would let one approval open what another provider's opens.
    if len({handle.salt for handle in handles}) == MAX_HANDLES and secrets[0] == secrets[1]:
        raise ProtocolBroken("the token gives one secret for two points")
    for secret, handle in zip(secrets, handles, strict=True):
        if handle.check is not None and not hmac.compare_digest(key_check(secret), handle.check):
            raise WrongKey("the token gave another secret than the one enrolled")
