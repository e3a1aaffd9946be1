"""Prompts for tests: a scripted `PromptPort`, a fake pinentry program, and a pseudo-terminal with a session.

`FakePrompt` is for tests of the core. `pinentry_program` makes an executable that speaks real Assuan and
does what its script says. `screen` is a terminal as an owner has one: with a foreground program in a
session of its own, so that a prompt comes from outside that session, as the daemon's do.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ownerd.model.caller import Terminal
from ownerd.model.errors import Dismissed
from ownerd.model.secret import Secret


@dataclass(frozen=True)
class Shown:
    """One question as the owner saw it."""

    kind: str
    terminal: Terminal | None
    description: str
    approve_label: str = ""
    refuse_label: str = ""


@dataclass
class FakePrompt:
    """A `PromptPort` that answers from ``answers`` (first in, first out), then with ``approve`` and ``pin_text``.

    An answer is True or False, a PIN as str, an exception to raise, or an `asyncio.Event` to wait for before
    taking the next. ``shown`` has every question, ``touches`` every touch notice and None for its end;
    ``closed_early`` counts prompts that were cancelled while they were open.
    """

    approve: bool = True
    pin_text: str | None = "123456"
    available: bool = True
    answers: list[object] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    touches: list[tuple[str, str] | None] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    closed_early: int = 0

    def can_prompt(self, terminal: Terminal | None) -> bool:
        return self.available

    async def pin(
        self, terminal: Terminal | None, *, description: str, timeout_seconds: float, asks: str = "PIN"
    ) -> Secret:
        answer = await self._answer(Shown("pin", terminal, description), self.pin_text)
        if answer is None or answer is False:
            raise Dismissed("the PIN prompt was closed")
        assert isinstance(answer, str)
        return Secret(answer.encode())

    async def confirm(
        self,
        terminal: Terminal | None,
        *,
        description: str,
        approve_label: str,
        refuse_label: str,
        timeout_seconds: float,
    ) -> bool:
        shown = Shown("confirm", terminal, description, approve_label, refuse_label)
        answer = await self._answer(shown, self.approve)
        assert isinstance(answer, bool)
        return answer

    async def touch_wanted(self, token_name: str, reason: str) -> None:
        self.touches.append((token_name, reason))

    async def touch_done(self) -> None:
        self.touches.append(None)

    async def _answer(self, shown: Shown, usual: object) -> object:
        self.shown.append(shown)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(0)
            answer = self.answers.pop(0) if self.answers else usual
            while isinstance(answer, asyncio.Event):
                await answer.wait()
                answer = self.answers.pop(0) if self.answers else usual
        except asyncio.CancelledError:
            self.closed_early += 1
            raise
        finally:
            self.open -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def fake_prompt() -> FakePrompt:
    return FakePrompt()


_PROGRAM = """\
#!{python} -SE
import json, os, sys, time
HERE = {here!r}
out = sys.stdout.buffer
def say(line):
    out.write(line.encode("latin-1") + b"\\n"); out.flush()
replies = {replies!r}
flavor = {flavor!r}
with open(HERE + "/env.json", "w") as file:
    json.dump(dict(os.environ), file)
with open(HERE + "/pid", "w") as file:
    file.write(str(os.getpid()))
log = open(HERE + "/commands", "ab", buffering=0)
def act(step):
    if step == "hang":
        time.sleep(60)
    elif step == "die":
        os._exit(3)
    elif step == "ignore-term":
        import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif step.startswith("raw:"):
        out.write(step[4:].encode("latin-1")); out.flush()
    elif step.startswith("stderr:"):
        sys.stderr.write(step[7:]); sys.stderr.flush()
    else:
        say(step)
for step in replies.get("greeting", ["OK Pleased to meet you"]):
    act(step)
for line in sys.stdin.buffer:
    log.write(line)
    text = line.decode("latin-1").rstrip("\\n")
    word = text.split(" ", 1)[0]
    if text == "GETINFO flavor" and text not in replies:
        say("D " + flavor); say("OK"); continue
    steps = replies.get(text, replies.get(word, ["OK"]))
    if steps and isinstance(steps[0], list):
        steps = steps.pop(0) if len(steps) > 1 else steps[0]
    for step in steps:
        act(step)
    if word == "BYE":
        break
"""


@dataclass(frozen=True)
class PinentryProgram:
    """A fake pinentry on disk, and what became of it."""

    path: Path

    @property
    def directory(self) -> Path:
        return self.path.parent

    def commands(self) -> list[str]:
        file = self.directory / "commands"
        return file.read_text("utf-8").splitlines() if file.exists() else []

    def environment(self) -> dict[str, str]:
        return json.loads((self.directory / "env.json").read_text())

    def pid(self) -> int:
        return int((self.directory / "pid").read_text())

    def has_ended(self) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(), 0)
            return False
        return True


MakePinentry = Callable[..., PinentryProgram]


@pytest.fixture
def pinentry_program(tmp_path: Path) -> MakePinentry:
    """Return a function that makes a fake pinentry.

    ``replies`` maps a whole command line, or its first word, to the lines that answer it (or to a list of
    such lists, for one time after the other). Beside lines there are the steps ``hang``, ``die``,
    ``ignore-term``, ``raw:BYTES`` and ``stderr:TEXT``. What is not in ``replies`` gets OK.
    """
    made = 0

    def make(
        replies: dict[str, list[object]] | None = None, *, flavor: str = "qt", name: str = "pinentry-qt"
    ) -> PinentryProgram:
        nonlocal made
        made += 1
        directory = tmp_path / f"pinentry-{made}"
        directory.mkdir(mode=0o700)
        path = directory / name
        path.write_text(
            _PROGRAM.format(python=sys.executable, here=str(directory), replies=replies or {}, flavor=flavor)
        )
        path.chmod(0o700)
        return PinentryProgram(path)

    return make


@dataclass
class Screen:
    """The master side of a pseudo-terminal: what the owner sees and types."""

    master: int
    slave: int
    tty: str
    seen: bytes = b""

    @property
    def terminal(self) -> Terminal:
        return Terminal(self.tty, "xterm", "C.UTF-8")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def settings(self) -> list[object]:
        return termios.tcgetattr(self.slave)

    def read(self) -> str:
        """Take in what has been written so far, without waiting."""
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        return self.seen.decode("utf-8", "replace")

    async def expect(self, text: str, timeout_seconds: float = 10.0) -> str:
        """Wait until ``text`` has been on the screen."""
        end = time.monotonic() + timeout_seconds
        while text not in self.read():
            assert time.monotonic() < end, f"{text!r} never came; the screen has {self.seen!r}"
            await asyncio.sleep(0.01)
        return self.read()

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self.master)
        self.master = -1

    def waiting_input(self) -> int:
        """Bytes that a program in the foreground would read next."""
        return int.from_bytes(fcntl.ioctl(self.slave, termios.FIONREAD, bytes(4)), sys.byteorder)


_FOREGROUND = textwrap.dedent(
    """
    import fcntl, os, sys, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.stderr.write("ready\\n"); sys.stderr.flush()
    os.read(3, 1)
    """
)


@pytest.fixture
def screen() -> Iterator[Screen]:
    """A terminal with a foreground program in a session of its own."""
    master, slave = pty.openpty()
    hold, release = os.pipe()
    foreground = subprocess.Popen(
        [sys.executable, "-SEc", f"import os; os.dup2({hold}, 3)" + _FOREGROUND],
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
        pass_fds=[hold],
        start_new_session=True,
    )
    os.close(hold)
    shown = Screen(master, slave, os.ttyname(slave))
    try:
        assert foreground.stderr is not None
        assert foreground.stderr.readline() == b"ready\n"
        yield shown
    finally:
        os.close(release)
        foreground.wait(5)
        assert foreground.stderr is not None
        foreground.stderr.close()
        os.close(slave)
        if shown.master >= 0:
            os.close(master)
