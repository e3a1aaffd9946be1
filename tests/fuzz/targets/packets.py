"""CTAPHID reports of 64 bytes as a token sends them; the channel's nonce is put right where it stands first.

The input is ``length ‖ report`` for each; reports are filled up with zeros unless they are longer.
"""

from __future__ import annotations

import socket

from fido2.hid import CTAPHID, CtapHidDevice
from fido2.hid.base import HidDescriptor
from tests.fuzz.chunks import Answers
from tests.fuzz.target import Target

from ownerd.tokens.ctap import Ctap
from ownerd.tokens.faults import as_token_errors
from ownerd.tokens.limit import Limit
from ownerd.tokens.packets import BoundedConnection

MAX_REPORTS = 12
_NONCE_AT = 7


class Wire(BoundedConnection):
    """Our end; all reports wait in the other one before the first is read, and then it is closed."""

    def __init__(self, reports: list[bytes]) -> None:
        ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reports = reports
        limit = Limit()
        limit.send_once = True  # a busy channel is told at once, not after two seconds
        super().__init__(ours.detach(), limit, report_bytes_in=64)

    def write_packet(self, data: bytes) -> None:
        if not self._reports:
            self._theirs.close()
            return
        reports, self._reports = self._reports, []
        first = reports[0]
        if len(first) >= _NONCE_AT + 8 and first[4] == 0x86:
            reports[0] = first[:_NONCE_AT] + data[_NONCE_AT : _NONCE_AT + 8] + first[_NONCE_AT + 8 :]
        for report in reports:
            self._theirs.send(report.ljust(64, b"\0"))
        self._theirs.close()

    def close(self) -> None:
        self._theirs.close()
        super().close()


def run(data: bytes) -> None:
    answers, reports = Answers(data), []
    while (one := answers.next()) is not None and len(reports) < MAX_REPORTS:
        reports.append(one)
    wire = Wire(reports)
    try:
        with as_token_errors():
            device = CtapHidDevice(HidDescriptor("", 0, 0, 64, 64, None, None), wire)
            assert device.call(CTAPHID.PING, b"") is not None
            assert Ctap(device).info is not None
    finally:
        wire.close()


TARGET = Target(
    "packets",
    run,
    words=(b"\x86\x00\x11", b"\xff\xff\xff\xff", b"\xbf\x00\x01\x06", b"\xbb\x00\x01\x02", b"\x90\x00", b"\x00\x01", b"\xff\xff", b"\x00\x40"),
    may_raise=(),
)  # fmt: skip
