"""CTAPHID framing (CTAP 2.1 section 11.2): 64-byte reports in, messages out, and back.

A pure state machine: no socket, no thread, no clock but the one it is given. As on a USB token there is one
transaction at a time for all channels; a channel belongs to the connection that asked for it.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Hashable
from typing import Final

from fido2.ctap import STATUS, CtapError
from fido2.hid import CAPABILITY, CTAPHID, TYPE_INIT
from msgspec import Struct

from ownerd.softtoken.core import FIRMWARE_VERSION

ERR = CtapError.ERR

REPORT_BYTES: Final = 64
FIRST_DATA_BYTES: Final = REPORT_BYTES - 7
NEXT_DATA_BYTES: Final = REPORT_BYTES - 5
MAX_PAYLOAD_BYTES: Final = FIRST_DATA_BYTES + 128 * NEXT_DATA_BYTES
BROADCAST: Final = 0xFFFFFFFF
NONCE_BYTES: Final = 8
MAX_CHANNELS: Final = 256
ASSEMBLY_SECONDS: Final = 0.5
PROTOCOL_VERSION: Final = 2


def format_message(channel: int, command: int, payload: bytes) -> list[bytes]:
    """One message → its initialization and continuation reports."""
    reports = [struct.pack(">IBH", channel, TYPE_INIT | command, len(payload)) + payload[:FIRST_DATA_BYTES]]
    for sequence, at in enumerate(range(FIRST_DATA_BYTES, len(payload), NEXT_DATA_BYTES)):
        reports.append(struct.pack(">IB", channel, sequence) + payload[at : at + NEXT_DATA_BYTES])
    return [report.ljust(REPORT_BYTES, b"\0") for report in reports]


class Reply(Struct, frozen=True):
    """Reports to send back to the connection that was heard."""

    reports: list[bytes]


class Serve(Struct, frozen=True):
    """A complete CBOR command; the port is busy until `HidPort.finish`."""

    channel: int
    payload: bytes


class Cancel(Struct, frozen=True):
    """End the wait for a touch; when ``drop``, the answer goes nowhere (the channel was synchronised anew)."""

    drop: bool


Event = Reply | Serve | Cancel


class _Incoming(Struct):
    channel: int
    command: int
    length: int
    data: bytes
    deadline: float
    sequence: int = 0


class HidPort:
    """The device side of CTAPHID for any number of connections."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._owners: dict[int, Hashable] = {}
        self._incoming: _Incoming | None = None
        self._serving: int | None = None

    # -- towards the authenticator --

    def keepalive(self, status: STATUS) -> list[bytes]:
        """Reports that tell the served channel to go on waiting; none when nothing is served."""
        return (
            [] if self._serving is None else format_message(self._serving, CTAPHID.KEEPALIVE, bytes([status]))
        )

    def finish(self, payload: bytes) -> list[bytes]:
        """End the served transaction with its answer."""
        if self._serving is None:
            return []
        channel, self._serving = self._serving, None
        return format_message(channel, CTAPHID.CBOR, payload)

    def abandon(self) -> None:
        """End the served transaction without an answer."""
        self._serving = None

    # -- towards the connections --

    def forget(self, owner: Hashable) -> bool:
        """Drop the channels of a closed connection; True when one of them was being served."""
        gone = {channel for channel, holder in self._owners.items() if holder is owner}
        for channel in gone:
            del self._owners[channel]
        if self._incoming is not None and self._incoming.channel in gone:
            self._incoming = None
        return self._serving in gone

    def expire(self) -> tuple[Hashable, list[bytes]] | None:
        """End a message whose rest did not come in time: its connection and the error to send there."""
        incoming = self._incoming
        if incoming is None or self._monotonic() < incoming.deadline:
            return None
        self._incoming = None
        return self._owners[incoming.channel], _error(incoming.channel, ERR.TIMEOUT)

    def receive(self, owner: Hashable, report: bytes) -> list[Event]:
        """Take one 64-byte report from ``owner``."""
        channel, head = struct.unpack_from(">IB", report)
        if not head & TYPE_INIT:
            return self._continue(channel, head, report[5:]) if self._owners.get(channel) is owner else []
        command, (length,) = head & ~TYPE_INIT, struct.unpack_from(">H", report, 5)
        data = report[7 : 7 + length]
        if command == CTAPHID.INIT:
            return self._init(owner, channel, length, data)
        if self._owners.get(channel) is not owner:
            return [Reply(_error(channel, ERR.INVALID_CHANNEL))]
        if command == CTAPHID.CANCEL:  # never answered itself (11.2.9.1.5)
            return [Cancel(drop=False)] if channel == self._serving else []
        if self._serving is not None:
            return [Reply(_error(channel, ERR.CHANNEL_BUSY))]
        if self._incoming is not None:
            if self._incoming.channel != channel:
                return [Reply(_error(channel, ERR.CHANNEL_BUSY))]
            self._incoming = None
            return [Reply(_error(channel, ERR.INVALID_SEQ))]
        if length > MAX_PAYLOAD_BYTES:
            return [Reply(_error(channel, ERR.INVALID_LENGTH))]
        if len(data) < length:
            deadline = self._monotonic() + ASSEMBLY_SECONDS
            self._incoming = _Incoming(channel, command, length, data, deadline)
            return []
        return self._dispatch(channel, command, data)

    def _continue(self, channel: int, sequence: int, data: bytes) -> list[Event]:
        incoming = self._incoming
        if incoming is None or incoming.channel != channel:
            return []  # spurious continuations are ignored (11.2.4)
        if sequence != incoming.sequence:
            self._incoming = None
            return [Reply(_error(channel, ERR.INVALID_SEQ))]
        incoming.sequence += 1
        incoming.data = (incoming.data + data)[: incoming.length]
        if len(incoming.data) < incoming.length:
            return []
        self._incoming = None
        return self._dispatch(channel, incoming.command, incoming.data)

    def _init(self, owner: Hashable, channel: int, length: int, nonce: bytes) -> list[Event]:
        if length != NONCE_BYTES:
            return [Reply(_error(channel, ERR.INVALID_LENGTH))]
        events: list[Event] = []
        if channel == BROADCAST:
            given = self._allocate(owner)
            if given is None:
                return [Reply(_error(channel, ERR.CHANNEL_BUSY))]
        elif self._owners.get(channel) is not owner:
            return [Reply(_error(channel, ERR.INVALID_CHANNEL))]
        else:  # synchronise: whatever this channel had begun is over
            given = channel
            if self._incoming is not None and self._incoming.channel == channel:
                self._incoming = None
            if self._serving == channel:
                events.append(Cancel(drop=True))
        capabilities = CAPABILITY.WINK | CAPABILITY.CBOR | CAPABILITY.NMSG
        answer = nonce + struct.pack(">IBBBBB", given, PROTOCOL_VERSION, 0, FIRMWARE_VERSION, 0, capabilities)
        return [*events, Reply(format_message(channel, CTAPHID.INIT, answer))]

    def _allocate(self, owner: Hashable) -> int | None:
        if len(self._owners) >= MAX_CHANNELS:
            return None
        while True:
            channel = int.from_bytes(os.urandom(4))
            if channel not in {0, BROADCAST} and channel not in self._owners:
                self._owners[channel] = owner
                return channel

    def _dispatch(self, channel: int, command: int, data: bytes) -> list[Event]:
        if command == CTAPHID.PING:
            return [Reply(format_message(channel, command, data))]
        if command == CTAPHID.WINK:
            return [Reply(format_message(channel, command, b""))]
        if command != CTAPHID.CBOR:
            return [Reply(_error(channel, ERR.INVALID_COMMAND))]
        if not data:
            return [Reply(_error(channel, ERR.INVALID_LENGTH))]
        self._serving = channel
        return [Serve(channel, data)]


def _error(channel: int, code: CtapError.ERR) -> list[bytes]:
    return format_message(channel, CTAPHID.ERROR, bytes([code]))
