"""CTAPHID framing, report by report."""

from __future__ import annotations

import struct

import pytest
from fido2.ctap import STATUS, CtapError
from fido2.hid import CTAPHID, TYPE_INIT
from hypothesis import given
from hypothesis import strategies as st

from ownerd.softtoken.hid import (
    BROADCAST,
    MAX_PAYLOAD_BYTES,
    Cancel,
    HidPort,
    Reply,
    Serve,
    format_message,
)

ERR = CtapError.ERR


class Client:
    """One connection to a port."""

    def __init__(self, port: HidPort) -> None:
        self.port = port
        (event,) = self.send(BROADCAST, CTAPHID.INIT, b"nonce678")
        answer = _payload(event.reports)
        assert answer[:8] == b"nonce678"
        self.channel = int.from_bytes(answer[8:12])

    def send(self, channel, command, payload=b""):
        events = []
        for report in format_message(channel, command, payload):
            events += self.port.receive(self, report)
        return events

    def ask(self, command, payload=b""):
        return self.send(self.channel, command, payload)


def _payload(reports):
    length = struct.unpack_from(">H", reports[0], 5)[0]
    return (reports[0][7:] + b"".join(report[5:] for report in reports[1:]))[:length]


def _error(events):
    (event,) = events
    assert isinstance(event, Reply)
    assert event.reports[0][4] == TYPE_INIT | CTAPHID.ERROR
    return event.reports[0][7]


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def port(now) -> HidPort:
    return HidPort(monotonic=lambda: now[0])


@given(st.binary(min_size=1, max_size=MAX_PAYLOAD_BYTES))
def test_a_message_of_any_length_arrives_whole(payload) -> None:
    client = Client(HidPort())
    assert client.ask(CTAPHID.CBOR, payload) == [Serve(client.channel, payload)]
    assert _payload(client.port.finish(payload)) == payload


@given(st.lists(st.binary(min_size=64, max_size=64), max_size=20))
def test_no_report_raises(reports) -> None:
    client = Client(HidPort())
    for report in reports:
        client.port.receive(client, report)
        client.port.receive(client, struct.pack(">I", client.channel) + report[4:])


def test_ping_comes_back_and_wink_is_answered(port) -> None:
    client = Client(port)
    (event,) = client.ask(CTAPHID.PING, b"x" * 200)
    assert _payload(event.reports) == b"x" * 200
    (event,) = client.ask(CTAPHID.WINK)
    assert event.reports[0][4] == TYPE_INIT | CTAPHID.WINK


def test_channels_differ_and_only_their_owner_may_use_them(port) -> None:
    one, two = Client(port), Client(port)
    assert one.channel != two.channel
    assert _error(two.send(one.channel, CTAPHID.PING, b"x")) == ERR.INVALID_CHANNEL
    assert _error(two.send(0, CTAPHID.PING, b"x")) == ERR.INVALID_CHANNEL
    assert _error(two.send(BROADCAST, CTAPHID.PING, b"x")) == ERR.INVALID_CHANNEL


def test_while_one_is_served_others_are_told_busy_and_may_still_open(port) -> None:
    one, two = Client(port), Client(port)
    one.ask(CTAPHID.CBOR, b"\4")
    assert _error(two.ask(CTAPHID.CBOR, b"\4")) == ERR.CHANNEL_BUSY
    assert _error(one.ask(CTAPHID.CBOR, b"\4")) == ERR.CHANNEL_BUSY
    Client(port)
    port.finish(b"\0")
    assert two.ask(CTAPHID.CBOR, b"\4") == [Serve(two.channel, b"\4")]


def test_only_the_served_channel_can_cancel(port) -> None:
    one, two = Client(port), Client(port)
    assert one.ask(CTAPHID.CANCEL) == []
    one.ask(CTAPHID.CBOR, b"\4")
    assert two.ask(CTAPHID.CANCEL) == []
    assert two.send(one.channel, CTAPHID.CANCEL) != [Cancel(drop=False)]
    assert one.ask(CTAPHID.CANCEL) == [Cancel(drop=False)]


def test_keepalives_go_to_the_served_channel_only_while_it_is_served(port) -> None:
    client = Client(port)
    assert port.keepalive(STATUS.UPNEEDED) == []
    client.ask(CTAPHID.CBOR, b"\4")
    (report,) = port.keepalive(STATUS.UPNEEDED)
    assert report[:8] == struct.pack(">IBHB", client.channel, TYPE_INIT | CTAPHID.KEEPALIVE, 1, 2)
    port.finish(b"\0")
    assert port.keepalive(STATUS.UPNEEDED) == []


def test_a_wrong_sequence_number_ends_the_message(port) -> None:
    client = Client(port)
    first, _second, third = format_message(client.channel, CTAPHID.CBOR, b"x" * 150)
    port.receive(client, first)
    assert _error(port.receive(client, third)) == ERR.INVALID_SEQ
    assert port.receive(client, third) == []
    assert client.ask(CTAPHID.CBOR, b"\4") == [Serve(client.channel, b"\4")]


def test_a_new_message_in_the_middle_of_one_is_a_sequence_error_and_init_starts_over(port) -> None:
    client, other = Client(port), Client(port)
    first = format_message(client.channel, CTAPHID.CBOR, b"x" * 150)[0]
    port.receive(client, first)
    assert _error(other.ask(CTAPHID.PING, b"x")) == ERR.CHANNEL_BUSY
    assert _error(client.ask(CTAPHID.PING, b"x")) == ERR.INVALID_SEQ
    port.receive(client, first)
    (event,) = client.ask(CTAPHID.INIT, b"nonce678")
    assert int.from_bytes(_payload(event.reports)[8:12]) == client.channel
    assert isinstance(client.ask(CTAPHID.PING, b"x")[0], Reply)


def test_init_on_the_served_channel_drops_its_answer(port) -> None:
    client = Client(port)
    client.ask(CTAPHID.CBOR, b"\4")
    assert client.ask(CTAPHID.INIT, b"nonce678")[0] == Cancel(drop=True)


def test_a_message_whose_rest_does_not_come_times_out(port, now) -> None:
    client = Client(port)
    port.receive(client, format_message(client.channel, CTAPHID.CBOR, b"x" * 150)[0])
    now[0] = 0.4
    assert port.expire() is None
    now[0] = 0.6
    owner, reports = port.expire()
    assert owner is client
    assert _error([Reply(reports)]) == ERR.TIMEOUT
    assert port.expire() is None


def test_lengths_and_commands_that_do_not_exist_are_refused(port) -> None:
    client = Client(port)
    too_long = struct.pack(">IBH", client.channel, TYPE_INIT | CTAPHID.CBOR, MAX_PAYLOAD_BYTES + 1)
    assert _error(port.receive(client, too_long.ljust(64, b"\0"))) == ERR.INVALID_LENGTH
    assert _error(client.ask(CTAPHID.CBOR)) == ERR.INVALID_LENGTH
    assert _error(client.send(BROADCAST, CTAPHID.INIT, b"short")) == ERR.INVALID_LENGTH
    for command in (CTAPHID.MSG, CTAPHID.LOCK, 0x40):
        assert _error(client.ask(command, b"x")) == ERR.INVALID_COMMAND


def test_a_closed_connection_frees_what_it_held(port) -> None:
    client, other = Client(port), Client(port)
    port.receive(client, format_message(client.channel, CTAPHID.CBOR, b"x" * 150)[0])
    assert port.forget(client) is False
    other.ask(CTAPHID.CBOR, b"\4")
    assert port.forget(other) is True


def test_the_number_of_channels_has_a_bound(port, monkeypatch) -> None:
    monkeypatch.setattr("ownerd.softtoken.hid.MAX_CHANNELS", 2)
    Client(port)
    last = Client(port)
    assert _error(last.send(BROADCAST, CTAPHID.INIT, b"nonce678")) == ERR.CHANNEL_BUSY
