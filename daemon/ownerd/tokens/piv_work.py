"""What one visit to a PIV card does, from the first look to the last secret. Blocks; runs on the worker thread."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

from ownerd.core.ports import PIN_TRIES_AT_RISK
from ownerd.ledger.approval import CHALLENGE_BYTES, card_message
from ownerd.model.errors import (
    Busy,
    InvalidArgument,
    PinAtRisk,
    PinBlocked,
    ProtocolBroken,
    TokenMissing,
    WrongKey,
)
from ownerd.model.secret import Secret
from ownerd.model.token import CardApproval, SecretHandle, TokenAnswer, TokenCredential
from ownerd.tokens import piv_keys
from ownerd.tokens.piv_card import Identity, PivCard

MAX_HANDLES: Final = 2


class Match(Enum):
    """Whether a card is the enrolled one. ``REPLACED``: the card is, its keys are not."""

    YES = "yes"
    NO = "no"
    REPLACED = "replaced"


class Look(Struct, frozen=True):
    """What a card shows without a PIN; ``tries`` None: the PIN counts as verified, so all tries are left."""

    identity: Identity
    tries: int | None


def look(card: PivCard) -> Look:
    """Look at a card without using up a PIN try."""
    return Look(card.identity(), card.pin_tries())


def chuid_or_key(identity: Identity, key: piv_keys.CardKey) -> bytes:
    """What finds the card again when it shows no certificate: CHUID digest, or for want of one the key's."""
    return identity.chuid or hashlib.sha256(piv_keys.card_id(key).encode()).digest()


def match(identity: Identity, credential: TokenCredential) -> Match:
    """Compare what a card shows with an enrolled credential: its key, or without a certificate its CHUID."""
    same_card = identity.chuid is not None and identity.chuid == credential.credential_id
    shown = piv_keys.usable_signing_key(identity.signing_key)
    if identity.signing_key is None:
        return Match.YES if same_card else Match.NO
    if shown is not None and piv_keys.format_jwk(shown) == credential.public_key:
        return Match.YES
    return Match.REPLACED if same_card else Match.NO


def require_enrolled(identity: Identity, credential: TokenCredential) -> None:
    """Raise `TokenMissing` for another card, `WrongKey` for the same card with other keys."""
    found = match(identity, credential)
    if found is Match.REPLACED:
        raise WrongKey("the card's keys were replaced since it was enrolled")
    if found is Match.NO:
        raise TokenMissing("this card is not the enrolled one")


def require_safe_tries(tries: int | None) -> None:
    """Stop before the owner types where a mistake could block the card. Raises `PinBlocked`, `PinAtRisk`."""
    if tries == 0:
        raise PinBlocked("the card takes no more PINs")
    if tries is not None and tries <= PIN_TRIES_AT_RISK:
        raise PinAtRisk(tries_left=tries)


def require_same(card: PivCard, seen: Look) -> Look:
    """Look again at the card that was ``seen`` before the person typed. Raises `TokenMissing` for another one."""
    now = look(card)
    if now.identity != seen.identity:
        raise TokenMissing("another card took the place of the chosen one")
    return now


def change_pin(card: PivCard, seen: Look, old: Secret, new: Secret) -> None:
    """Change the PIN of the card that was ``seen``. Raises `TokenMissing`, `Busy` before a PIN is sent."""
    now = require_same(card, seen)
    if now.tries != seen.tries:
        raise Busy("the card's PIN tries changed meanwhile; no PIN was sent")
    card.change_pin(old, new)


class CardAct:
    """One approval: validated before the card is looked at, done in one visit, verified before it is returned.

    Raises `InvalidArgument` for a challenge or handles that no card can take.
    """

    def __init__(
        self, credential: TokenCredential, challenge: bytes, handles: Sequence[SecretHandle]
    ) -> None:
        if len(challenge) != CHALLENGE_BYTES:
            raise InvalidArgument("a challenge has 32 bytes")
        if len(handles) > MAX_HANDLES:
            raise InvalidArgument("a card opens at most two secrets at once")
        self.credential = credential
        self._message = card_message(challenge)
        self._key = piv_keys.parse_jwk(credential.public_key)
        self._curve = None
        if handles:
            if credential.agreement_key is None:
                raise InvalidArgument("this card only signs; it holds no secrets")
            self._curve = piv_keys.curve_of(piv_keys.parse_jwk(credential.agreement_key))
        self._points = [self._point(handle) for handle in handles]

    def run(self, card: PivCard, pin: Secret) -> tuple[bytes, list[Secret]]:
        """VERIFY, sign, ECDH; returns the raw signature and the secrets."""
        now = look(card)
        require_enrolled(now.identity, self.credential)
        # While the person typed, another program may have used up tries.
        require_safe_tries(now.tries)
        card.verify_pin(pin)
        signature = self._sign(card)
        return signature, [self._agree(card, point, pin) for point in self._points]

    def answer(self, signature: bytes, secrets: Sequence[Secret]) -> TokenAnswer:
        """Verify the signature with the enrolled key. Raises `ProtocolBroken`, `WrongKey`."""
        raw = piv_keys.verify_signature(self._key, self._message, signature)
        algorithm = piv_keys.algorithm_of(self._key)
        return TokenAnswer(CardApproval(self.credential.id, algorithm, raw, "piv"), tuple(secrets))

    def _sign(self, card: PivCard) -> bytes:
        algorithm, block = piv_keys.signing_input(self._key, self._message)
        try:
            return card.sign(algorithm, block)
        except PermissionError as error:
            raise ProtocolBroken("the card took the PIN and does not sign") from error

    def _agree(self, card: PivCard, point: bytes, pin: Secret) -> Secret:
        assert self._curve is not None
        try:
            shared = card.agree(self._curve.piv, point)
        except PermissionError:
            # The same typed PIN, which the card has just accepted: no try can be lost.
            card.verify_pin(pin)
            try:
                shared = card.agree(self._curve.piv, point)
            except PermissionError as error:
                raise ProtocolBroken("the card took the PIN and does not agree on a key") from error
        if len(shared) != self._curve.size:
            raise ProtocolBroken("the card's secret has the wrong length")
        return Secret(shared)

    def _point(self, handle: SecretHandle) -> bytes:
        assert self._curve is not None
        try:
            piv_keys.parse_point(self._curve, handle.salt)
        except ValueError as error:
            raise InvalidArgument("a card's secret is named by a point on its key's curve") from error
        return handle.salt


def credential_of(identity: Identity, name: str, generated: piv_keys.PublicKeys) -> TokenCredential | None:
    """Make the credential of a card from its certificates, or else from keys generated just before.

    None when there is no usable signing key.
    """
    signing = piv_keys.usable_signing_key(identity.signing_key)
    if identity.signing_key is None:
        signing = generated.signing
    agreement = piv_keys.usable_agreement_key(identity.agreement_key)
    if identity.agreement_key is None:
        agreement = generated.agreement
    if signing is None:
        return None
    return TokenCredential(
        type="piv",
        id=piv_keys.card_id(signing),
        credential_id=chuid_or_key(identity, signing),
        public_key=piv_keys.format_jwk(signing),
        user_verification=True,
        aaguid="",
        firmware=0,
        software=False,
        name=name,
        agreement_key=None if agreement is None else piv_keys.format_jwk(agreement),
    )
