"""The software token as a rig: in process behind python-fido2's device class, or as its real process.

In process::

    def test_x(authenticator, in_process_device):
        ctap = Ctap2(in_process_device)

The person is a `Person`: touches at once unless told otherwise, and remembers what was asked.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.ctap2 import ClientPin, Ctap2
from fido2.hid import CAPABILITY, CTAPHID, CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

from ownerd.softtoken.authenticator import Authenticator
from ownerd.softtoken.core import Core
from ownerd.softtoken.state import TokenState
from ownerd.softtoken.touch import Answer, Ask


@dataclass
class Person:
    """A `TouchSource`: gives ``answer``, or waits for the cancel when it is None."""

    answer: Answer | None = Answer.TOUCHED
    asked: list[Ask] = field(default_factory=list)

    def __call__(self, ask: Ask, cancel: Event, timeout_seconds: float) -> Answer:
        self.asked.append(ask)
        if self.answer is not None:
            return self.answer
        return Answer.CANCELLED if cancel.wait(timeout_seconds) else Answer.TIMED_OUT


class InProcessDevice(CtapDevice):
    """python-fido2's view of an authenticator in the same process."""

    def __init__(self, authenticator: Authenticator) -> None:
        self.authenticator = authenticator
        self.closed = False

    @property
    def capabilities(self) -> int:
        return CAPABILITY.CBOR

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        if cmd == CTAPHID.PING:
            return data
        if cmd != CTAPHID.CBOR:
            raise CtapError(CtapError.ERR.INVALID_COMMAND)
        return self.authenticator.call(data, event, on_keepalive)

    def close(self) -> None:
        self.closed = True

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())


def make_authenticator(
    person: Person | None = None,
    *,
    state: TokenState | None = None,
    authenticator_type: type[Authenticator] = Authenticator,
    saved: list[Any] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    touch_timeout_seconds: float = 30.0,
) -> Authenticator:
    """An authenticator with nothing on disk; each save is noted in ``saved``. One call is one power cycle."""
    return authenticator_type(
        Core(
            state or TokenState(),
            (lambda _state: None) if saved is None else saved.append,
            person or Person(),
            monotonic=monotonic,
            touch_timeout_seconds=touch_timeout_seconds,
        )
    )


@pytest.fixture
def person() -> Person:
    """Who touches the in-process token."""
    return Person()


@pytest.fixture
def authenticator(person: Person) -> Authenticator:
    """A new software token in this process; ``person`` touches it."""
    return make_authenticator(person)


@pytest.fixture
def in_process_device(authenticator: Authenticator) -> InProcessDevice:
    """``authenticator`` behind python-fido2's device class."""
    return InProcessDevice(authenticator)


# -- the real process --

PASSPHRASE = "correct horse battery"


class SeqpacketConnection(CtapHidConnection):
    """A bare client of the socket: one report a packet."""

    def __init__(self, path: Path, *, timeout_seconds: float = 40.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout_seconds)
        self.socket.connect(str(path))

    def read_packet(self) -> bytes:
        report = self.socket.recv(65)
        if not report:
            raise OSError("the token closed the connection")
        return report

    def write_packet(self, data: bytes) -> None:
        self.socket.send(data)

    def close(self) -> None:
        self.socket.close()


class SoftTokenProcess:
    """The real ``ownerd-softtoken``, with a pipe or a pty as its terminal.

    ``output`` grows as it prints. `touch` presses Enter once the next question stands on the screen.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "1",
        new: bool = True,
        pty: bool = False,
        runtime: Path | None = None,
        passphrase: str = PASSPHRASE,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.runtime = runtime or directory / "run"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        self.socket_path = self.runtime / "ownerd" / f"softtoken-{name}.sock"
        self.state_path = directory / "token-state" / f"{name}.token"
        self.output = ""
        self._questions_seen = 0
        self._changed = threading.Condition()
        reading, writing = os.pipe()
        os.write(writing, passphrase.encode() + b"\n")
        os.close(writing)
        if pty:
            self._terminal, child = os.openpty()
        else:
            child, self._terminal = os.pipe()
        output = child if pty else subprocess.PIPE
        command = [sys.executable, "-m", "ownerd.softtoken", "--name", name, "--state", str(self.state_path)]
        command += ["--passphrase-fd", str(reading), *(["--new"] if new else []), *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=child,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(reading,),
            env={**os.environ, "XDG_RUNTIME_DIR": str(self.runtime), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        os.close(reading)
        os.close(child)
        source = self._terminal if pty else self.process.stdout.fileno()  # type: ignore[union-attr]
        self._reader = threading.Thread(target=self._read, args=(source,), daemon=True)
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        while True:
            try:
                data = os.read(descriptor, 4096)
            except OSError:
                data = b""
            with self._changed:
                self.output += data.decode(errors="replace")
                self._changed.notify_all()
            if not data:
                return

    def wait_for(self, text: str, *, count: int = 1, timeout_seconds: float = 20.0) -> None:
        """Wait until ``text`` stands ``count`` times in the output."""
        with self._changed:
            if (
                not self._changed.wait_for(
                    lambda: self.output.count(text) >= count or not self._reader.is_alive(), timeout_seconds
                )
                or self.output.count(text) < count
            ):
                raise AssertionError(f"no {text!r} in: {self.output}")

    def ready(self) -> SoftTokenProcess:
        """Wait until it listens."""
        self.wait_for("listening on")
        return self

    def type(self, text: str) -> None:
        """Type into its terminal."""
        os.write(self._terminal, text.encode())

    def touch(self, text: str = "\n") -> None:
        """Answer the next question (Enter unless told otherwise) when it stands on the screen."""
        self._questions_seen += 1
        self.wait_for("Enter = touch", count=self._questions_seen, timeout_seconds=30)
        self.type(text)

    def touch_always(self) -> None:
        """From now on, answer every question with Enter, on a thread of its own."""

        def press() -> None:
            with suppress(AssertionError, OSError):
                while self.process.poll() is None:
                    self.touch()

        threading.Thread(target=press, daemon=True).start()

    def connect(self) -> CtapHidDevice:
        """Open it with python-fido2's own HID device class."""
        descriptor = HidDescriptor(str(self.socket_path), 0, 0, 64, 64, "software token", None)
        return CtapHidDevice(descriptor, SeqpacketConnection(self.socket_path))

    def set_pin(self, pin: str) -> None:
        """Set the first PIN."""
        with self.connect() as device:
            ClientPin(Ctap2(device)).set_pin(pin)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it, however it is."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with suppress(OSError):
            os.close(self._terminal)
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def softtoken_processes(tmp_path: Path) -> Iterator[Callable[..., SoftTokenProcess]]:
    """Starts software tokens in ``tmp_path`` (keywords: see `SoftTokenProcess`); all end with the test."""
    with ExitStack() as running:

        def start(**options: Any) -> SoftTokenProcess:
            token = SoftTokenProcess(tmp_path, **options)
            running.callback(token.close)
            return token

        yield start


@pytest.fixture
def softtoken_process(softtoken_processes: Callable[..., SoftTokenProcess]) -> SoftTokenProcess:
    """One new software token, listening, without a PIN, with a pipe as its terminal."""
    return softtoken_processes().ready()
