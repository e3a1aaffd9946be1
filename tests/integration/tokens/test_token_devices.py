"""Device files and services of this machine: hidraw packets and locks, PC/SC that is not there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.hid import CtapHidDevice
from fido2.hid.base import HidDescriptor
from tests.rigs.softtoken import SoftTokenProcess
from tests.rigs.tokens import FakeUi, wait_until

from ownerd.core.seal import key_check
from ownerd.model.errors import Busy, TokenMissing, TokenRemoved
from ownerd.model.token import TokenCredential
from ownerd.tokens.fido2_port import Fido2Tokens
from ownerd.tokens.finders import open_usb
from ownerd.tokens.limit import CANCEL_GRACE_SECONDS, GaveUp, Limit
from ownerd.tokens.packets import open_hidraw
from ownerd.tokens.softtoken_socket import find_software


@pytest.fixture
def node() -> Iterator[tuple[int, HidDescriptor]]:
    """A raw pseudo-terminal in the place of a hidraw node: a file that can be opened, locked and polled."""
    token, node = os.openpty()
    tty.setraw(node, termios.TCSANOW)
    path = os.ttyname(node)
    yield token, HidDescriptor(path, 0x1050, 0x0407, 64, 64, "Key", None)
    os.close(token)
    os.close(node)


def open_descriptors(descriptor: HidDescriptor) -> int:
    """How often this process has the node open."""
    links = (os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir())
    return sum(link == descriptor.path for link in links)


def test_a_report_goes_out_with_its_number_and_comes_in_without(node: tuple[int, HidDescriptor]) -> None:
    token, descriptor = node
    connection = open_hidraw(descriptor, Limit())
    connection.write_packet(b"a" * 64)
    assert os.read(token, 100) == b"\0" + b"a" * 64
    os.write(token, b"b" * 64)
    assert connection.read_packet() == b"b" * 64
    connection.close()
    connection.close()


def test_a_node_that_another_process_locked_is_busy_and_stays_closed(node: tuple[int, HidDescriptor]) -> None:
    _, descriptor = node
    first = open_hidraw(descriptor, Limit())
    before = open_descriptors(descriptor)
    for _ in range(3):
        with pytest.raises(Busy):
            open_hidraw(descriptor, Limit())
    assert open_descriptors(descriptor) == before
    first.close()
    open_hidraw(descriptor, Limit()).close()


def test_a_node_that_never_answers_is_left_after_the_cancel(node: tuple[int, HidDescriptor]) -> None:
    _, descriptor = node
    limit = Limit()
    ended: list[BaseException] = []

    def use() -> None:
        try:
            open_usb(descriptor, limit)
        except GaveUp as error:
            ended.append(error)

    before = open_descriptors(descriptor)
    thread = threading.Thread(target=use)
    began = time.monotonic()
    thread.start()
    limit.cancel()
    wait_until(lambda: bool(ended))
    thread.join()
    assert CANCEL_GRACE_SECONDS <= time.monotonic() - began < CANCEL_GRACE_SECONDS + 1
    assert open_descriptors(descriptor) == before


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", "[]"),
        ("import sys; sys.modules['smartcard'] = None", "[]"),
    ],
    ids=["no pcscd", "no pyscard"],
)
def test_missing_pcsc_is_no_error(before: str, expected: str) -> None:
    code = f"{before}\nfrom ownerd.tokens.finders import find_pcsc\nprint(find_pcsc())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PCSCLITE_CSOCK_NAME": "/nonexistent/pcscd.comm"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected


def test_pyscard_is_not_imported_before_a_reader_is_looked_for() -> None:
    code = (
        "import sys, ownerd.tokens.fido2_port\nprint('smartcard' in sys.modules, 'fido2.pcsc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_token_in_whose_touch_another_program_waits_is_busy(softtoken_process: SoftTokenProcess) -> None:
    tokens = Fido2Tokens(
        key_check=key_check, finders=[lambda: find_software(lambda: softtoken_process.socket_path.parent)]
    )
    other = softtoken_process.connect()
    waiting = threading.Thread(target=select_ignoring_the_end, args=(other,), daemon=True)
    waiting.start()
    softtoken_process.wait_for("Enter = touch")
    enrolled = TokenCredential("fido2", "0" * 16, b"c" * 32, {}, False, "", 1, True, "token")
    with pytest.raises(Busy):
        asyncio.run(tokens.locate([enrolled]))
    softtoken_process.type("\n")
    waiting.join(5)
    other.close()
    with pytest.raises(TokenMissing):
        asyncio.run(tokens.locate([enrolled]))


def select_ignoring_the_end(device: CtapHidDevice) -> None:
    """Ask for a touch, as another program would."""
    with suppress(CtapError, OSError):
        Ctap2(device).selection()


def test_a_token_process_that_dies_in_the_touch_is_removed(softtoken_process: SoftTokenProcess) -> None:
    tokens = Fido2Tokens(
        key_check=key_check, finders=[lambda: find_software(lambda: softtoken_process.socket_path.parent)]
    )

    async def use() -> None:
        (info,) = await tokens.present()
        enrolling = asyncio.create_task(tokens.enrol(info.id, user_verification=False, ui=FakeUi()))
        await asyncio.to_thread(softtoken_process.wait_for, "Enter = touch")
        softtoken_process.kill()
        with pytest.raises(TokenRemoved):
            await enrolling

    asyncio.run(use())
