"""Cards that answer at once: APDUs go to the software applets by a function call, no service and no reader between.

`OwnTime` adds up what is spent in the card itself, to be taken off.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from smartcard import scard
from tests.rigs._ctap_nfc import CtapNfcApplet
from tests.rigs._piv_applet import PivApplet
from tests.rigs.softtoken import make_authenticator

from bench.measure import Clock, added
from ownerd.core.ports import TokenPort
from ownerd.core.seal import key_check
from ownerd.softtoken.state import TokenState
from ownerd.tokens import piv_link
from ownerd.tokens.candidate import Candidate, reader_id
from ownerd.tokens.card import open_card
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.piv_port import PivTokens

READER = "Instant Reader 00 00"
ATR = bytes.fromhex("3B80800101")


class OwnTime:
    """Seconds that the token itself takes."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._spent: list[float] = []
        self.last = 0.0

    def timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """``work``, whose time counts as the token's."""

        def call(*arguments: Any, **more: Any) -> Any:
            with added(self._spent, clock=self._clock):
                return work(*arguments, **more)

        return call

    def without(self, sample: Callable[[], float]) -> float:
        """Seconds of ``sample`` without those of the token, which then stand in ``last``."""
        self._spent.clear()
        seconds = sample()
        self.last = sum(self._spent)
        return seconds - self.last


class _Connection:
    """pyscard's card connection, as far as python-fido2 uses it, and the reader that makes it."""

    name = READER

    def __init__(self, transmit: Callable[[bytes], bytes]) -> None:
        self._transmit = transmit

    def createConnection(self) -> _Connection:  # noqa: N802 pyscard's name
        return self

    def connect(self, *_: Any) -> None:
        """There is nothing to connect."""

    disconnect = release = connect

    def getATR(self) -> list[int]:  # noqa: N802 pyscard's name
        return list(ATR)

    def transmit(self, apdu: list[int], _protocol: int | None = None) -> tuple[list[int], int, int]:
        answer = list(self._transmit(bytes(apdu)))
        return answer[:-2], answer[-2], answer[-1]


class _Service:
    """PC/SC's functions, as far as `ownerd.tokens.piv_link` calls them; its constants are the real ones."""

    def __init__(self, applet: PivApplet, transmit: Callable[[bytes], bytes]) -> None:
        self._applet = applet
        self._transmit = transmit

    def __getattr__(self, name: str) -> Any:
        # Whatever needs no answer: SCardReleaseContext, SCardDisconnect, SCardBeginTransaction.
        return getattr(scard, name) if name.isupper() else lambda *_: scard.SCARD_S_SUCCESS

    def SCardEstablishContext(self, _scope: int) -> tuple[int, int]:  # noqa: N802 PC/SC's names
        return scard.SCARD_S_SUCCESS, 1

    def SCardListReaders(self, _context: int, _groups: list[str]) -> tuple[int, list[str]]:  # noqa: N802
        return scard.SCARD_S_SUCCESS, [READER]

    def SCardConnect(self, *_: Any) -> tuple[int, int, int]:  # noqa: N802
        return scard.SCARD_S_SUCCESS, 1, scard.SCARD_PROTOCOL_T1

    def SCardStatus(self, _card: int) -> tuple[int, str, int, int, list[int]]:  # noqa: N802
        return scard.SCARD_S_SUCCESS, READER, 0, scard.SCARD_PROTOCOL_T1, list(ATR)

    def SCardTransmit(self, _card: int, _header: Any, apdu: list[int]) -> tuple[int, list[int]]:  # noqa: N802
        return scard.SCARD_S_SUCCESS, list(self._transmit(bytes(apdu)))

    def SCardEndTransaction(self, _card: int, _disposition: int) -> int:  # noqa: N802
        self._applet.power_on()
        return int(scard.SCARD_S_SUCCESS)


@contextmanager
def fido2_card(own: OwnTime) -> Iterator[Callable[[], TokenPort]]:
    """A FIDO2 token behind a reader; yields what makes an adapter."""
    state = TokenState()
    applet = CtapNfcApplet(lambda: make_authenticator(state=state))
    applet.power_on()
    connect = functools.partial(open_card, _Connection(own.timed(applet.transmit)))
    candidate = Candidate(reader_id(READER), "pcsc", READER, connect)
    yield lambda: Fido2Tokens(key_check=key_check, finders=[lambda: [candidate]])


@contextmanager
def piv_card(own: OwnTime) -> Iterator[Callable[[], TokenPort]]:
    """A PIV card on P-256; yields what makes an adapter."""
    curve = ec.SECP256R1()
    applet = PivApplet(signing=ec.generate_private_key(curve), agreement=ec.generate_private_key(curve))
    applet.power_on()
    real, piv_link.scard = piv_link.scard, _Service(applet, own.timed(applet.transmit))
    try:
        yield lambda: PivTokens(key_check=key_check)
    finally:
        piv_link.scard = real
