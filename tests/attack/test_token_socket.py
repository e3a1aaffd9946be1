"""Attack: stand in for the software token at its socket, or break CTAPHID framing (CTAP 2.1, section 11.2)."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fido2.ctap import CtapError
from fido2.hid import CTAPHID, TYPE_INIT
from tests.rigs.tokens import FakeUi

from ownerd.core.seal import key_check
from ownerd.model.errors import Busy, NotAllowed, OwnerdError, ProtocolBroken, TokenRemoved
from ownerd.model.token import TokenCredential
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.limit import Limit
from ownerd.tokens.softtoken_socket import find_software, open_software

Report = bytes
CHANNEL = 0x01020304
CREDENTIAL = TokenCredential("fido2", "0" * 16, b"c" * 32, {}, False, "", 1, True, "software token")


def message(command: int, payload: bytes, *, channel: int = CHANNEL) -> Report:
    """A one-report message."""
    return (struct.pack(">IBH", channel, TYPE_INIT | command, len(payload)) + payload).ljust(64, b"\0")


def greeting(report: Report) -> Report:
    """The honest answer to INIT."""
    return message(
        CTAPHID.INIT,
        report[7:15] + struct.pack(">IBBBBB", CHANNEL, 2, 0, 1, 0, 0x04),
        channel=0xFFFFFFFF,
    )


class FakeToken:
    """Listens where a software token would and answers each report with whatever ``answer`` returns."""

    def __init__(self, directory: Path, answer: Callable[[Report], list[bytes] | None]) -> None:
        self.directory = directory
        self.reports: list[Report] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(directory / "softtoken-1.sock"))
        self._listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def tokens(self, step_timeout_seconds: float = 0.5) -> Fido2Tokens:
        return Fido2Tokens(
            key_check=key_check,
            finders=[lambda: find_software(lambda: self.directory)],
            step_timeout_seconds=step_timeout_seconds,
        )

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while report := connection.recv(65):
                self.reports.append(report)
                answer = self._answer(report)
                if answer is None:
                    return
                for packet in answer:
                    connection.send(packet)


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not tmp_path: a socket's path has at most 107 bytes.
    path = Path(tempfile.mkdtemp(prefix="ownerd-"))
    yield path
    shutil.rmtree(path)


def after_init(rest: Callable[[Report], list[bytes] | None]) -> Callable[[Report], list[bytes] | None]:
    """Greet honestly, then misbehave."""

    def answer(report: Report) -> list[bytes] | None:
        return [greeting(report)] if report[4] == TYPE_INIT | CTAPHID.INIT else rest(report)

    return answer


FRAMES: list[tuple[str, Callable[[Report], list[bytes] | None], type[OwnerdError]]] = [
    ("silent from the start", lambda _: [], ProtocolBroken),
    ("silent after the greeting", after_init(lambda _: []), ProtocolBroken),
    ("gone after the greeting", after_init(lambda _: None), TokenRemoved),
    ("short report", after_init(lambda _: [b"\1\2\3"]), ProtocolBroken),
    ("long report", after_init(lambda _: [b"\0" * 65]), ProtocolBroken),
    ("another nonce", lambda r: [greeting(r[:7] + bytes(8) + r[15:])], ProtocolBroken),
    ("another channel", after_init(lambda _: [message(CTAPHID.CBOR, b"\0", channel=7)]), ProtocolBroken),
    ("another command", after_init(lambda _: [message(CTAPHID.PING, b"\0")]), ProtocolBroken),
    ("empty answer", after_init(lambda _: [message(CTAPHID.CBOR, b"")]), ProtocolBroken),
    ("no CBOR", after_init(lambda _: [message(CTAPHID.CBOR, b"\0\xff")]), ProtocolBroken),
    ("a list for a map", after_init(lambda _: [message(CTAPHID.CBOR, b"\0\x80")]), ProtocolBroken),
    ("getInfo without versions", after_init(lambda _: [message(CTAPHID.CBOR, b"\0\xa0")]), ProtocolBroken),
    (
        "wrong sequence",
        after_init(
            lambda _: [struct.pack(">IBH", CHANNEL, 0x90, 100).ljust(64, b"\0"), bytes(4) + b"\5" * 60]
        ),
        ProtocolBroken,
    ),
    (
        "keep-alive of an unknown state",
        after_init(lambda _: [message(CTAPHID.KEEPALIVE, b"\x63")]),
        ProtocolBroken,
    ),
    (
        "busy for ever",
        after_init(lambda _: [message(CTAPHID.ERROR, bytes([CtapError.ERR.CHANNEL_BUSY]))]),
        Busy,
    ),
    (
        "busy for ever at the greeting",
        lambda _: [message(CTAPHID.ERROR, bytes([CtapError.ERR.CHANNEL_BUSY]), channel=0xFFFFFFFF)],
        Busy,
    ),
]


@pytest.mark.parametrize(("answer", "error"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES])
def test_broken_framing_ends_in_a_named_error_and_soon(
    directory: Path, answer: Callable[[Report], list[bytes] | None], error: type[OwnerdError]
) -> None:
    fake = FakeToken(directory, answer)

    async def use() -> None:
        tokens = fake.tokens(2.5 if error is Busy else 0.5)
        with pytest.raises(OwnerdError) as raised:
            await tokens.enrol("software-1", user_verification=False, ui=FakeUi())
        assert type(raised.value) is error

    began = time.monotonic()
    asyncio.run(use())
    fake.close()
    assert time.monotonic() - began < 5


def test_a_token_that_speaks_nonsense_is_left_out_of_the_list(directory: Path) -> None:
    fake = FakeToken(directory, after_init(lambda _: [message(CTAPHID.CBOR, b"\0\xff")]))
    assert asyncio.run(fake.tokens().present()) == []
    fake.close()


def test_a_token_that_floods_keepalives_is_left_and_its_thread_comes_free(directory: Path) -> None:
    alive = message(CTAPHID.KEEPALIVE, b"\2")
    fake = FakeToken(directory, after_init(lambda _: [alive] * 20))

    async def use() -> None:
        tokens = fake.tokens()
        for _ in range(2):  # were the thread still held, the second would be Busy
            with pytest.raises(ProtocolBroken):
                await tokens.enrol("software-1", user_verification=False, ui=FakeUi())

    asyncio.run(use())
    fake.close()


def test_a_report_that_found_the_channel_busy_is_not_repeated_when_it_must_be_sent_once(
    directory: Path,
) -> None:
    busy = message(CTAPHID.ERROR, bytes([CtapError.ERR.CHANNEL_BUSY]))
    fake = FakeToken(directory, after_init(lambda _: [busy]))
    limit = Limit()
    device = open_software(directory / "softtoken-1.sock", limit)
    limit.send_once = True
    with pytest.raises(Busy):
        device.call(CTAPHID.CBOR, b"\6")
    assert len([report for report in fake.reports if report[4] == TYPE_INIT | CTAPHID.CBOR]) == 1
    device.close()
    fake.close()


def names(directory: Path) -> list[str]:
    return [candidate.id for candidate in find_software(lambda: directory)]


def test_only_plain_sockets_of_ours_are_taken(directory: Path) -> None:
    fake = FakeToken(directory, lambda _: [])
    (directory / "softtoken-2.sock").symlink_to(directory / "softtoken-1.sock")
    (directory / "softtoken-3.sock").write_bytes(b"")
    (directory / "softtoken-a b.sock").symlink_to(directory / "softtoken-1.sock")
    assert names(directory) == ["software-1"]
    fake.close()


def test_a_directory_that_others_can_write_to_is_left_out(directory: Path) -> None:
    fake = FakeToken(directory, lambda _: [])
    directory.chmod(0o720)
    assert names(directory) == []
    directory.chmod(0o700)
    assert names(directory) == ["software-1"]
    fake.close()


def test_a_directory_behind_a_symlink_is_left_out(directory: Path) -> None:
    real = directory / "real"
    real.mkdir(mode=0o700)
    fake = FakeToken(real, lambda _: [])
    (directory / "link").symlink_to(real)
    assert names(real) == ["software-1"]
    assert names(directory / "link") == []
    fake.close()


@pytest.mark.skipif(os.getuid() != 0 and not os.environ.get("CI"), reason="needs root to change the owner")
def test_a_socket_or_directory_of_another_user_is_left_out(directory: Path) -> None:
    fake = FakeToken(directory, lambda _: [])
    os.chown(directory / "softtoken-1.sock", 12345, 12345)
    assert names(directory) == []
    os.chown(directory / "softtoken-1.sock", 0, 0)
    os.chown(directory, 12345, 12345)
    assert names(directory) == []
    os.chown(directory, 0, 0)
    fake.close()


LISTEN_AS_ANOTHER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
os.setuid(12345)
listener.listen(8)
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    if connection.recv(65):
        print("heard", flush=True)
"""


@pytest.mark.skipif(os.getuid() != 0 and not os.environ.get("CI"), reason="needs root to become another user")
def test_a_process_of_another_user_behind_a_socket_of_ours_hears_nothing(directory: Path) -> None:
    path = directory / "softtoken-1.sock"
    command = [sys.executable, "-c", LISTEN_AS_ANOTHER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        assert names(directory) == ["software-1"]
        with pytest.raises(NotAllowed):
            open_software(path, Limit())
        process.kill()
        assert process.stdout.read() == ""


def test_a_socket_that_nobody_serves_any_more_is_no_token(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
        gone.bind(str(directory / "softtoken-1.sock"))
    tokens = Fido2Tokens(key_check=key_check, finders=[lambda: find_software(lambda: directory)])
    assert names(directory) == ["software-1"]
    assert asyncio.run(tokens.present()) == []
