"""Passphrase and PIN, typed at a real terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from fido2.ctap2 import ClientPin, Ctap2
from fido2.hid import CtapHidDevice
from fido2.hid.base import HidDescriptor
from tests.rigs.softtoken import SeqpacketConnection


class Typed:
    """``ownerd-softtoken`` on a pty, with everything typed at its prompts."""

    def __init__(self, directory, *arguments) -> None:
        self.socket_path = directory / "ownerd" / "softtoken-1.sock"
        self.terminal, child = os.openpty()
        os.set_blocking(self.terminal, False)
        state = directory / "state" / "1.token"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ownerd.softtoken", "--state", str(state), *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            env={**os.environ, "XDG_RUNTIME_DIR": str(directory)},
            start_new_session=True,
        )
        os.close(child)
        self.output = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 20
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            try:
                self.output += os.read(self.terminal, 4096).decode()
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break
        assert text in self.output, self.output

    def answer(self, prompt: str, text: str) -> None:
        self.wait_for(prompt)
        self.output = self.output.split(prompt, 1)[1]
        # getpass throws away what was typed before it turned the echo off.
        time.sleep(0.2)
        os.write(self.terminal, text.encode() + b"\n")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
        os.close(self.terminal)


@pytest.fixture
def typed(tmp_path):
    started = []

    def start(*arguments):
        started.append(Typed(tmp_path, *arguments))
        return started[-1]

    yield start
    for token in started:
        token.close()


def test_passphrase_and_pin_are_asked_twice_and_not_echoed(typed) -> None:
    token = typed("--new", "--pin-setup")
    for prompt, text in (
        ("Passphrase of this token:", "correct horse"),
        ("The same again:", "correct horse"),
        ("New PIN:", "274951"),
        ("The same again:", "274951"),
    ):
        token.answer(prompt, text)
    token.wait_for("listening on")
    assert "correct" not in token.output
    assert "274951" not in token.output
    descriptor = HidDescriptor("x", 0, 0, 64, 64, None, None)
    with CtapHidDevice(descriptor, SeqpacketConnection(token.socket_path)) as device:
        assert len(ClientPin(Ctap2(device)).get_pin_token("274951")) == 32


def test_passphrases_that_differ_make_no_token(typed, tmp_path) -> None:
    token = typed("--new")
    token.answer("Passphrase of this token:", "correct horse")
    token.answer("The same again:", "correct house")
    token.wait_for("the two passphrases differ")
    assert token.process.wait(10) == 1
    assert not (tmp_path / "state" / "1.token").exists()
