"""One PC/SC transaction with the card in one reader. Imports pyscard: import lazily.

Every link has a context of its own, so that it survives a restart of pcscd. It ends with a reset inside the
transaction: nobody inherits a verified PIN, and whoever shares the card is told. APDUs are never logged: a VERIFY
carries the PIN.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from smartcard import scard

from ownerd.model.errors import Busy, Cancelled, OwnerdError, ProtocolBroken, TokenMissing, TokenRemoved
from ownerd.tokens.holders import name_card_users
from ownerd.tokens.limit import Limit
from ownerd.tokens.presence import remember_card

MAX_SHORT_ANSWER: Final = 258  # 256 bytes of data and the status word
MAX_TRIES_TO_BEGIN: Final = 5

_GONE: Final = frozenset({scard.SCARD_E_NO_SMARTCARD, scard.SCARD_W_REMOVED_CARD})


def list_readers() -> list[str]:
    """Names of all reader slots, in PC/SC's order; none where pcscd does not run. A fresh context each time."""
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if result != scard.SCARD_S_SUCCESS:
        return []
    try:
        result, readers = scard.SCardListReaders(context, [])
        return list(readers) if result == scard.SCARD_S_SUCCESS else []
    finally:
        scard.SCardReleaseContext(context)


@contextmanager
def open_link(reader: str, limit: Limit) -> Iterator[Link]:
    """Connect shared and begin a transaction; waits while another program is in one.

    Raises `TokenMissing` for an empty reader, `Busy` when another program holds the card for itself alone.
    """
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if result != scard.SCARD_S_SUCCESS:
        raise TokenMissing("the smart card service does not run")
    link: Link | None = None
    try:
        link = _begin(context, reader, limit)
        yield link
    finally:
        if link is not None:
            link.end()
        scard.SCardReleaseContext(context)


def _begin(context: Any, reader: str, limit: Limit) -> Link:
    # Whoever ends a transaction resets the card, and whoever waits is told by an error: nothing was sent yet.
    for _ in range(MAX_TRIES_TO_BEGIN):
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, handle, protocol = scard.SCardConnect(context, reader, scard.SCARD_SHARE_SHARED, protocols)
        if result != scard.SCARD_S_SUCCESS:
            raise _connect_error(result)
        result = scard.SCardBeginTransaction(handle)
        if result == scard.SCARD_S_SUCCESS:
            limit.begun = True
            result, _, _, _, atr = scard.SCardStatus(handle)
            if result == scard.SCARD_S_SUCCESS:
                remember_card(reader, bytes(atr))
            return Link(handle, protocol, limit)
        scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
        if result != scard.SCARD_W_RESET_CARD:
            raise _transmit_error(result)
    raise Busy(name_card_users("another program uses the card"))


class Link:
    """The card, ours alone until `end`."""

    def __init__(self, handle: Any, protocol: int, limit: Limit) -> None:
        self._handle = handle
        self._limit = limit
        self.is_t0 = protocol == scard.SCARD_PROTOCOL_T0
        self._header = scard.SCARD_PCI_T0 if self.is_t0 else scard.SCARD_PCI_T1

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Exchange one short APDU: (data, status word).

        Raises `Cancelled` before anything is sent when nobody waits for the answer any more, `TokenRemoved`,
        `Busy`, `ProtocolBroken`.
        """
        if self._limit.event.is_set():
            raise Cancelled("the operation was cancelled")
        result, answer = scard.SCardTransmit(self._handle, self._header, list(apdu))
        if result != scard.SCARD_S_SUCCESS:
            raise _transmit_error(result)
        if len(answer) < 2:  # a driver's way to say that the card left in the middle
            raise TokenRemoved("the card went away")
        if len(answer) > MAX_SHORT_ANSWER:
            raise ProtocolBroken("the card's answer has an impossible length")
        raw = bytes(byte & 0xFF for byte in answer)
        return raw[:-2], int.from_bytes(raw[-2:], "big")

    def end(self) -> None:
        """Reset the card, end the transaction, disconnect. Never raises."""
        result = scard.SCardEndTransaction(self._handle, scard.SCARD_RESET_CARD)
        # A card that left holds nothing; for anything else the disconnect resets.
        done = result == scard.SCARD_S_SUCCESS
        scard.SCardDisconnect(self._handle, scard.SCARD_LEAVE_CARD if done else scard.SCARD_RESET_CARD)


def _connect_error(result: int) -> OwnerdError:
    if result == scard.SCARD_E_SHARING_VIOLATION:
        return Busy(name_card_users("another program holds the card for itself alone"))
    if result in _GONE:
        return TokenMissing("no card in the reader")
    return TokenMissing("the card in the reader does not answer")


def _transmit_error(result: int) -> OwnerdError:
    if result in {scard.SCARD_E_SHARING_VIOLATION, scard.SCARD_W_RESET_CARD}:
        return Busy(name_card_users("another program uses the card"))
    return TokenRemoved("the card went away")
