"""CTAP over ISO 7816 (CTAP 2.1 section 11.3), card side: an authenticator as an applet.

SELECT by AID, NFCCTAP_MSG (80 10) with command chaining or extended length, NFCCTAP_GETRESPONSE (80 11) with
keep-alive SW 9100 and cancel, GET RESPONSE (00 C0) after 61xx.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from fido2.ctap import STATUS

from ownerd.softtoken.authenticator import MAX_MESSAGE_BYTES, Authenticator

AID = bytes.fromhex("A0000006472F0001")
OK = b"\x90\x00"
KEEPALIVE = b"\x91\x00"
WRONG_LENGTH = b"\x67\x00"
CONDITIONS = b"\x69\x85"
NOT_FOUND = b"\x6a\x82"
WRONG_P1P2 = b"\x6a\x86"
WRONG_INS = b"\x6d\x00"
CHAINED = 0x10
ANSWER_SECONDS = 0.05


@dataclass(frozen=True)
class Apdu:
    """A command APDU; ``expected`` is the number of bytes asked for, 0 when Le is absent."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    expected: int


def parse_apdu(raw: bytes) -> Apdu:
    """Parse all seven cases of ISO 7816-3 section 12.1.3. Raises `ValueError`."""
    if len(raw) < 4:
        raise ValueError("short header")
    head, body = tuple(raw[:4]), raw[4:]
    if not body:
        return Apdu(*head, b"", 0)
    if len(body) == 1:
        return Apdu(*head, b"", body[0] or 256)
    extended = body[0] == 0 and len(body) >= 3
    width = 2 if extended else 1
    if extended:
        body = body[1:]
        if len(body) == 2:
            return Apdu(*head, b"", int.from_bytes(body) or 65536)
    length, rest = int.from_bytes(body[:width]), body[width:]
    data, le = rest[:length], rest[length:]
    if length == 0 or len(data) != length or len(le) not in {0, width}:
        raise ValueError("lengths disagree")
    return Apdu(*head, data, (int.from_bytes(le) or 256**width) if le else 0)


class CtapNfcApplet:
    """The FIDO applet. ``power_up`` makes the authenticator of a power cycle."""

    def __init__(self, power_up: Callable[[], Authenticator]) -> None:
        self._power_up = power_up
        self.authenticator: Authenticator | None = None
        self.apdus: list[bytes] = []
        self._reset()

    def _reset(self) -> None:
        self._selected = False
        self._chain = b""
        self._rest = b""
        self._status = STATUS.PROCESSING
        self._cancel = Event()
        self._done = Event()
        self._answer: bytes | None = None
        self._working = False

    def power_on(self) -> None:
        """Power up, or a reset of the card."""
        self.power_off()
        self.authenticator = self._power_up()

    def power_off(self) -> None:
        """Ends what is going on."""
        self._cancel.set()
        self._reset()

    def transmit(self, raw: bytes) -> bytes:
        """Response APDU to a command APDU."""
        self.apdus.append(raw)
        try:
            apdu = parse_apdu(raw)
        except ValueError:
            return WRONG_LENGTH
        if (apdu.cla, apdu.ins) == (0x00, 0xA4):
            return self._select(apdu)
        if not self._selected:
            return WRONG_INS
        if (apdu.cla, apdu.ins) == (0x00, 0xC0):
            return self._page(apdu.expected or 256) if self._rest else CONDITIONS
        if (apdu.cla & ~CHAINED, apdu.ins) == (0x80, 0x10):
            return self._message(apdu)
        if (apdu.cla, apdu.ins) == (0x80, 0x11):
            return self._get_response(apdu)
        return WRONG_INS

    def _select(self, apdu: Apdu) -> bytes:
        self._cancel.set()
        self._reset()
        self._selected = apdu.p1 == 4 and apdu.data == AID
        return b"FIDO_2_0" + OK if self._selected else NOT_FOUND

    def _message(self, apdu: Apdu) -> bytes:
        if self._working:
            return CONDITIONS
        self._chain += apdu.data
        if len(self._chain) > MAX_MESSAGE_BYTES:
            self._chain = b""
            return WRONG_LENGTH
        if apdu.cla & CHAINED:
            return OK
        request, self._chain = self._chain, b""
        self._start(request)
        # A platform that does not ask for keep-alive messages gets none: it blocks until the answer.
        return self._progress(apdu, None if not apdu.p1 & 0x80 else ANSWER_SECONDS)

    def _get_response(self, apdu: Apdu) -> bytes:
        if not self._working:
            return CONDITIONS
        if apdu.p1 == 0x11:
            self._cancel.set()
            return self._progress(apdu, None)
        if apdu.p1 != 0:
            return WRONG_P1P2
        return self._progress(apdu, 0)

    def _start(self, request: bytes) -> None:
        authenticator, cancel, done = self.authenticator, Event(), Event()
        assert authenticator is not None
        self._cancel, self._done, self._working, self._status = cancel, done, True, STATUS.PROCESSING

        def tell(status: STATUS) -> None:
            self._status = status

        def work() -> None:
            answer = authenticator.call(request, cancel, tell)
            if self._done is done:
                self._answer = answer
            done.set()

        threading.Thread(target=work, daemon=True).start()

    def _progress(self, apdu: Apdu, timeout_seconds: float | None) -> bytes:
        if not self._done.wait(timeout_seconds) or self._answer is None:
            return bytes([self._status]) + KEEPALIVE
        self._rest, self._answer, self._working = self._answer, None, False
        return self._page(apdu.expected or 256)

    def _page(self, count: int) -> bytes:
        page, self._rest = self._rest[:count], self._rest[count:]
        return page + (bytes([0x61, min(len(self._rest), 256) % 256]) if self._rest else OK)
