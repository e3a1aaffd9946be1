"""What is done at a PKCS#11 token in one visit: recognise it, enrol its keys, approve with them. Blocking.

Imports the library, so it is itself imported on a module's worker only.
"""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism
from pkcs11.types import Session

from ownerd.ledger.approval import card_message
from ownerd.ledger.jwk import parse_jwk
from ownerd.model.errors import InvalidArgument, KeysMissing, ProtocolBroken, TokenMissing, WrongKey
from ownerd.model.secret import Secret
from ownerd.model.token import CardApproval, TokenAnswer, TokenCredential, TokenInfo
from ownerd.tokens.pkcs11_keys import (
    KeyPair,
    asks_again,
    card_id,
    choose_agreement,
    choose_signing,
    find_private,
    key_pairs,
    public_keys,
)
from ownerd.tokens.pkcs11_reference import Reference, format_reference, parse_reference
from ownerd.tokens.pkcs11_session import Held, agree, pin_text, sign
from ownerd.tokens.pkcs11_verify import agreement_key, verify_approval

logger: Final = logging.getLogger(__name__)


def recognise(held: Held, credentials: Sequence[TokenCredential]) -> list[str]:
    """Return the ids of those of ``credentials`` that this token is enrolled as. Does not log in."""
    with held.session() as session:
        return [one.id for one in credentials if _is_enrolled(held, session, one)]


def _require_enrolled(held: Held, credential: TokenCredential) -> None:
    if not recognise(held, [credential]):
        raise TokenMissing("this token is not the enrolled one")


def _is_enrolled(held: Held, session: Session, credential: TokenCredential) -> bool:
    try:
        reference = parse_reference(credential.credential_id)
    except InvalidArgument:
        return False
    shown = public_keys(session, reference.sign).get(reference.sign, [])
    if shown:
        return parse_jwk(credential.public_key).key in shown
    return reference.identity == held.place.identity and reference.identity.serial != ""


def require(held: Held, credential: TokenCredential) -> TokenInfo:
    """Describe the token that ``credential`` was enrolled on, before its PIN is asked for.

    Raises `TokenMissing` for another token, `PinBlocked`, `PinAtRisk`.
    """
    _require_enrolled(held, credential)
    return held.require_tries()


def enrol(held: Held, info: TokenInfo, pin: Secret) -> TokenCredential:
    """Choose keys and prove that they work; see `Pkcs11Tokens.enrol`."""
    mechanisms = held.mechanisms()
    challenge = os.urandom(32)
    with held.login(pin) as session:
        pairs = key_pairs(session)
        signing = choose_signing(pairs, mechanisms)
        if signing is None:
            raise KeysMissing("the token has no key that signs ES256, ES384 or RS256")
        # The signature comes first: a key that asks again wants the PIN of this login, directly before it.
        credential = _credential(held, info, signing)
        approval = _sign(session, credential, challenge, pin, mechanisms)
        agreement = _proven(choose_agreement(pairs, mechanisms))
    try:
        verify_approval(approval, challenge, credential)
    except WrongKey as error:
        raise ProtocolBroken("the token's public key is not that of its private key") from error
    return credential if agreement is None else _with_agreement(held, credential, signing, agreement)


def approve(
    held: Held, credential: TokenCredential, challenge: bytes, points: Sequence[bytes], pin: Secret
) -> TokenAnswer:
    """Sign ``challenge`` and agree with each of ``points``; see `Pkcs11Tokens.approve`."""
    # While the person typed, the token may have been changed for another: that one never sees the PIN.
    _require_enrolled(held, credential)
    mechanisms = held.mechanisms()
    reference = parse_reference(credential.credential_id)
    with held.login(pin) as session:
        approval = _sign(session, credential, challenge, pin, mechanisms)
        verify_approval(approval, challenge, credential)
        secrets: tuple[Secret, ...] = ()
        if points:
            curve = agreement_key(credential).curve
            key = find_private(session, reference.agree or b"", KeyType.EC)
            secrets = tuple(agree(key, curve, point) for point in points)
    return TokenAnswer(approval, secrets)


def _sign(
    session: Session, credential: TokenCredential, challenge: bytes, pin: Secret, mechanisms: set[Mechanism]
) -> CardApproval:
    algorithm = parse_jwk(credential.public_key).algorithm
    reference = parse_reference(credential.credential_id)
    key = find_private(session, reference.sign, KeyType.RSA if algorithm == "RS256" else KeyType.EC)
    # This PIN was right a moment ago, so sending it again costs no try.
    again = pin_text(pin) if asks_again(key) else None
    signature = sign(key, algorithm, card_message(challenge), pin=again, mechanisms=mechanisms)
    return CardApproval(credential.id, algorithm, signature, "pkcs11")


def _proven(pair: KeyPair | None) -> KeyPair | None:
    """Return the pair if its secrets can be had and are right; None if the token refuses to give them."""
    if pair is None or not isinstance(pair.public, ec.EllipticCurvePublicKey):
        return None
    curve = pair.public.curve
    ours = ec.generate_private_key(curve)
    point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    try:
        secret = agree(pair.private, curve, point)
    except ProtocolBroken as error:
        if not isinstance(error.__cause__, PKCS11Error):
            raise
        logger.info(
            "the token does not give ECDH secrets (%s): it only signs", type(error.__cause__).__name__
        )
        return None
    if not hmac.compare_digest(secret.reveal(), ours.exchange(ec.ECDH(), pair.public)):
        raise ProtocolBroken("the token agrees on another secret than its public key says")
    return pair


def _credential(held: Held, info: TokenInfo, signing: KeyPair) -> TokenCredential:
    return TokenCredential(
        type="pkcs11",
        id=card_id(signing.public),
        credential_id=format_reference(Reference(held.place.identity, signing.id, None)),
        public_key=signing.jwk,
        user_verification=True,
        aaguid=info.aaguid,
        firmware=info.firmware,
        software=info.software,
        name=info.name,
    )


def _with_agreement(
    held: Held, credential: TokenCredential, signing: KeyPair, agreement: KeyPair
) -> TokenCredential:
    reference = Reference(held.place.identity, signing.id, agreement.id)
    return replace(credential, credential_id=format_reference(reference), agreement_key=agreement.jwk)
