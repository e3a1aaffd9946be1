"""Servers that hold on to whoever talks to them: the whole exchange ends in its time, drip or no drip.

In this process, with a shorter limit than the tool's; what is tested is that each wait counts towards it.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo import provider_kit as kit
from tests.rigs.verifier import pem_chain
from tests.rigs.verifier_hostile import JWS_TYPE, Got, Hostile, Serve, answer

from ownerctl.web import Address, Web, WebTrouble, parse_place

SECONDS = 0.8


def _loopback(_host: str, _port: int) -> list[Address]:
    return [ipaddress.ip_address("127.0.0.1")]


@pytest.fixture
def hurried(provider_ca: kit.Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    path = tmp_path / "ca.pem"
    path.write_text(pem_chain(provider_ca))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return Web(allows_private=True, resolver=_loopback, whole_seconds=SECONDS)


def _ends_in_time(web: Web, server: Hostile) -> None:
    place = parse_place(f"{server.base}/request", "uri")
    started = time.monotonic()
    with pytest.raises(WebTrouble, match="takes too long to answer"):
        web.get(place, accept=JWS_TYPE)
    assert time.monotonic() - started < SECONDS + 1.5


def _drip(text: bytes) -> Iterator[bytes]:
    for byte in text:
        time.sleep(0.05)
        yield bytes([byte])


def test_the_rig_is_answered_when_it_is_quick(hurried: Web, hostile: Serve) -> None:
    server = hostile(lambda _got: answer(b"x"))
    assert hurried.get(parse_place(f"{server.base}/request", "uri"), accept=JWS_TYPE).body == b"x"


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"],
)
def test_a_drip_of_single_bytes_ends(hurried: Web, hostile: Serve, start: bytes) -> None:
    def respond(_got: Got) -> Iterator[bytes]:
        if start:
            yield start
        yield from _drip((b"" if start else b"HTTP/1.1 200 ") + b"X" * 200)

    _ends_in_time(hurried, hostile(respond))


def test_interim_answers_without_end_end(hurried: Web, hostile: Serve) -> None:
    def respond(_got: Got) -> Iterator[bytes]:
        while True:
            time.sleep(0.05)
            yield b"HTTP/1.1 100 Continue\r\n\r\n"

    _ends_in_time(hurried, hostile(respond))


def test_a_server_that_never_greets_ends(hurried: Web, hostile: Serve) -> None:
    _ends_in_time(hurried, hostile(lambda _got: [], manner="mute"))


@pytest.mark.usefixtures("hurried")
def test_a_server_that_greets_late_and_never_reads_ends(hostile: Serve) -> None:
    server = hostile(lambda _got: [], manner="late and deaf")
    web = Web(allows_private=True, resolver=_loopback, whole_seconds=2.0)
    started = time.monotonic()
    with pytest.raises(WebTrouble, match="takes too long to answer"):
        web.post(parse_place(f"{server.base}/answer", "uri"), {"response": "A" * 8_000_000}, accept="*/*")
    assert time.monotonic() - started < 3.0  # late by 1.5: a limit for each wait would make it 3.5


def test_a_look_up_without_end_ends() -> None:
    ended = threading.Event()

    def stuck(_host: str, _port: int) -> list[Address]:
        ended.wait(10)
        return []

    web = Web(allows_private=True, resolver=stuck, whole_seconds=0.2)
    started = time.monotonic()
    with pytest.raises(WebTrouble, match="has no address"):
        web.get(parse_place("https://shop.example/", "uri"), accept="*/*")
    assert time.monotonic() - started < 5
    ended.set()


@pytest.mark.parametrize("length", [10, 300_000])
def test_a_body_that_breaks_off_is_not_taken(hurried: Web, hostile: Serve, length: int) -> None:
    server = hostile(lambda _got: [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nabc" % length])
    with pytest.raises(WebTrouble, match="breaks"):
        hurried.get(parse_place(f"{server.base}/request", "uri"), accept="*/*")


def test_a_compressed_body_is_not_taken(hurried: Web, hostile: Serve) -> None:
    server = hostile(lambda _got: answer(b"x", "a/b", "200 OK", "Content-Encoding: gzip"))
    with pytest.raises(WebTrouble, match="an encoding that was not asked for"):
        hurried.get(parse_place(f"{server.base}/request", "uri"), accept="*/*")
