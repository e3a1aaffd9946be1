"""A ledger's head in a data object of a PIV card (SP 800-73-4 part 2, sections 3.1.2 and 3.3.2). Blocks; worker thread.

Anybody who holds the card reads it; writing takes the management key. The object's tag is in the range that vendors leave to
applications: cards that have standard objects alone refuse it.
"""

from __future__ import annotations

from typing import Final

from ownerd.model.errors import Busy, InvalidArgument, ProtocolBroken, Unsupported
from ownerd.model.secret import Secret
from ownerd.model.token import TokenCredential
from ownerd.tokens import piv_work
from ownerd.tokens.piv_card import PivCard
from ownerd.tokens.piv_setup import authenticate, put_data
from ownerd.tokens.piv_tlv import format_tlv, parse_tlv

HEAD: Final = 0x5F6F77  # "ow"
MAX_HEAD_BYTES: Final = 1024
_NOTE: Final = 0x80


def read(card: PivCard, credential: TokenCredential) -> bytes | None:
    """The head on this card, or None. Raises `TokenMissing`, `WrongKey` for another card."""
    try:
        content = card.read(HEAD)
    except ProtocolBroken as error:
        raise Unsupported("the card keeps no head, or does not show it") from error
    if not content:
        return None
    piv_work.require_enrolled(card.identity(), credential)
    return parse_tlv(content).get(_NOTE) or None


def write(
    card: PivCard, credential: TokenCredential, key: Secret, note: bytes, expected: bytes | None
) -> None:
    """Compare and swap. Raises `ManagementKeyWrong`, `Busy`, `Unsupported` before anything is changed."""
    if len(note) > MAX_HEAD_BYTES:
        raise InvalidArgument("the head is too large for a card")
    piv_work.require_enrolled(card.identity(), credential)
    if read(card, credential) != expected:
        raise Busy("another head was written on the card meanwhile")
    authenticate(card, key)
    try:
        put_data(card, HEAD, format_tlv(_NOTE, note))
    except ProtocolBroken as error:
        raise Unsupported("the card has no room for a head") from error
