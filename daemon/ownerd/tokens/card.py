"""FIDO2 over PC/SC (NFC and smart-card readers; CTAP 2.1, section 11.3). Imports pyscard: import lazily.

A session is one PC/SC transaction, so that another program's SELECT cannot fall into it, and ends with the card
unpowered, so that nobody inherits its state.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any, Final

from fido2.ctap import STATUS, CtapDevice
from fido2.ctap2.base import Ctap2
from fido2.pcsc import CtapPcscDevice
from smartcard import System
from smartcard.Exceptions import NoCardException, SmartcardException
from smartcard.ExclusiveTransmitCardConnection import ExclusiveTransmitCardConnection
from smartcard.pcsc.PCSCExceptions import BaseSCardException

from ownerd.model.errors import ProtocolBroken, TokenMissing, Unsupported
from ownerd.tokens.candidate import Candidate, printable_name, reader_id
from ownerd.tokens.limit import Limit
from ownerd.tokens.presence import remember_card

MAX_MORE_DATA: Final = 64
_SW1_MORE_DATA: Final = 0x61
_GET_INFO: Final = bytes([Ctap2.CMD.GET_INFO])

logger = logging.getLogger(__name__)


def find_cards() -> list[Candidate]:
    """One candidate per PC/SC reader; none where pcscd does not run."""
    try:
        readers = System.readers()
    except (SmartcardException, BaseSCardException):
        logger.debug("no PC/SC service")
        return []
    return [_candidate(reader) for reader in readers]


def _candidate(reader: Any) -> Candidate:
    name = str(reader.name)
    shown = printable_name(name, "a card reader")
    return Candidate(reader_id(name), "pcsc", f"FIDO2 token on {shown}", functools.partial(open_card, reader))


def open_card(reader: Any, limit: Limit) -> CtapDevice:
    """Select FIDO on the card in ``reader``, inside a transaction.

    Raises `TokenMissing` for an empty reader, `Unsupported` for a card without FIDO, `SmartcardException`.
    """
    connection = BoundedCard(reader.createConnection(), limit)
    opened = False
    try:
        device = ProbedDevice(connection, str(reader.name))
        remember_card(str(reader.name), bytes(connection.atr()))
        opened = True
    except NoCardException as error:
        raise TokenMissing("no card in the reader") from error
    except ValueError as error:
        raise Unsupported("the card has no FIDO") from error
    finally:
        if not opened:
            with suppress(SmartcardException):
                connection.disconnect()
    return device


class ProbedDevice(CtapPcscDevice):
    """Asks getInfo once: python-fido2 probes with it as it opens, and its `Ctap2` asks the same again."""

    _probe: bytes | None = None
    _probed = False

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Send a command; the first getInfo's answer serves twice."""
        probe, self._probe = self._probe, None
        if probe is not None and data == _GET_INFO:
            return probe
        answer: bytes = super().call(cmd, data, event, on_keepalive)
        if not self._probed and data == _GET_INFO:
            self._probed, self._probe = True, answer
        return answer


class BoundedCard:
    """A pyscard connection in one transaction that ends with its `Limit` and bounds ``61xx`` chains."""

    def __init__(self, connection: Any, limit: Limit) -> None:
        self._connection = ExclusiveTransmitCardConnection(connection)
        self._limit = limit
        self._more_data = 0
        self._locked = False

    def connect(self) -> None:
        """Connect shared and begin the transaction; waits while another program is in one."""
        self._connection.connect()
        self._connection.lock()
        self._locked = True

    def atr(self) -> list[int]:
        """The card's answer to reset."""
        return list(self._connection.getATR())

    def transmit(self, apdu: list[int], protocol: int | None = None) -> tuple[list[int], int, int]:
        """Exchange one APDU. Raises `GaveUp`, `ProtocolBroken`, `SmartcardException`."""
        self._limit.require_patience()
        data, sw1, sw2 = self._connection.transmit(apdu, protocol)
        # A card was seen to answer 61xx for ever.
        self._more_data = self._more_data + 1 if sw1 == _SW1_MORE_DATA else 0
        if self._more_data > MAX_MORE_DATA:
            raise ProtocolBroken("the token's answer does not end")
        return data, sw1, sw2

    def disconnect(self) -> None:
        """End the transaction and unpower the card; the PC/SC context goes too."""
        try:
            if self._locked:
                self._locked = False
                with suppress(SmartcardException):  # a card that left holds no transaction
                    self._connection.unlock()
            self._connection.disconnect()
        finally:
            self._connection.release()
