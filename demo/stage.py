"""The stage: a private home, a private session bus, and real processes on terminals of their own.

Everything runs in one throw-away directory. Nothing here is simulated: the bus is dbus-daemon, the daemon is
``ownerd``, the token is ``ownerd-softtoken`` in its own process, prompts are pinentry's. A `Screen` only
reads what a process writes on its terminal and types what its person would type.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

BIN: Final = Path(sys.executable).parent
PASSPHRASE: Final = "correct horse battery staple"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")
# The policy of a session bus without its service directories: no desktop service is started on it.
_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={bus}</listen><auth>EXTERNAL</auth>
<servicedir>{services}</servicedir>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""


class StageError(Exception):
    """Something on the stage did not happen in time, or ended too early."""


class Screen:
    """A process on a pseudo-terminal of its own. ``text`` is all it has shown, without escapes."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        self.name = name
        self.text = ""
        self._seen = 0
        self._changed = threading.Condition()
        self._terminal, child = os.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 110, 0, 0))
        self.process = subprocess.Popen(
            argv, stdin=child, stdout=child, stderr=child, env=env, start_new_session=True
        )
        os.close(child)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                data = b""
            with self._changed:
                self.text += _ESCAPES.sub("", data.decode("utf-8", "replace"))
                if not data:
                    os.close(self._terminal)
                    self._terminal = -1
                self._changed.notify_all()
            if not data:
                return

    def wait_for(self, pattern: str, timeout_seconds: float = 20.0) -> str:
        """Wait until ``pattern`` is shown after what was waited for before; return what led up to it."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while not (match := re.search(pattern, self.text[self._seen :])):
                if self.process.poll() is not None and not self._reader.is_alive():
                    raise StageError(f"{self.name} ended without {pattern!r}:\n{self.text[-2000:]}")
                if not self._changed.wait(max(0.0, min(0.2, deadline - time.monotonic()))) and (
                    time.monotonic() >= deadline
                ):
                    raise StageError(f"{self.name} never showed {pattern!r}:\n{self.text[-2000:]}")
            start, self._seen = self._seen, self._seen + match.end()
            return self.text[start : self._seen]

    def type(self, keys: str) -> None:
        """Type on the terminal. Raises `StageError` when the program has ended."""
        with self._changed:
            if self._terminal < 0:
                raise StageError(f"{self.name} has ended:\n{self.text[-2000:]}")
            os.write(self._terminal, keys.encode())

    def wait(self, timeout_seconds: float = 20.0) -> int:
        """Wait for the end; return the exit code."""
        try:
            code = self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise StageError(f"{self.name} does not end:\n{self.text[-2000:]}") from error
        self._reader.join(2)
        return code

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the process if it runs, and wait for it."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


class Stage:
    """One private world. Use as a context manager; everything it started is ended, its files removed."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="ownerd-")
        self.home = Path(self._directory.name)
        for name in ("run", "data", "config", "services"):
            (self.home / name).mkdir(mode=0o700)
        self.env = {
            "PATH": f"{BIN}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.home}/bus",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "PYTHONUNBUFFERED": "1",
        }
        for name in ("OWNERD_DBUS_LIBRARY", "PYTHONPATH", "TZ"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self._screens: list[Screen] = []
        self._bus: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for screen in reversed(self._screens):
            screen.end()
        if self._bus is not None:
            self._bus.terminate()
            self._bus.wait(5)
        self._directory.cleanup()

    @property
    def database(self) -> Path:
        """The vault and ledger."""
        return self.home / "data" / "ownerd" / "ownerd.db"

    @property
    def trust_directory(self) -> Path:
        """Where the owner puts trust anchors."""
        path = self.home / "config" / "ownerd" / "trust.d"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def start_bus(self) -> None:
        """Start the private session bus, with D-Bus activation of ownerd."""
        (self.home / "services" / "org.ownerd.Agent1.service").write_text(
            f"[D-BUS Service]\nName=org.ownerd.Agent1\nExec={BIN / 'ownerd'}\n"
        )
        config = self.home / "bus.conf"
        config.write_text(_BUS.format(bus=self.home / "bus", services=self.home / "services"))
        self._bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork"],
            env=self.env,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 5
        while not (self.home / "bus").exists():
            if time.monotonic() > deadline or self._bus.poll() is not None:
                raise StageError("dbus-daemon does not start")
            time.sleep(0.01)

    def run(self, name: str, *argv: str) -> Screen:
        """Start a program on a terminal of its own."""
        screen = Screen(name, list(argv), self.env)
        self._screens.append(screen)
        return screen

    def tool(self, *arguments: str) -> Screen:
        """Start ``ownerctl`` on a terminal of its own."""
        return self.run("ownerctl", str(BIN / "ownerctl"), *arguments)

    def start_daemon(self, *arguments: str) -> Screen:
        """Start ``ownerd`` and wait until it serves."""
        daemon = self.run("ownerd", str(BIN / "ownerd"), *arguments)
        daemon.wait_for("ready, locked")
        return daemon

    def start_token(self, name: str = "1") -> Screen:
        """Make and start a software token in a process of its own."""
        token = self.run("token", str(BIN / "ownerd-softtoken"), "--new", "--name", name)
        for _ in range(2):
            token.wait_for(r"(Passphrase of this token|The same again): ")
            token.type(PASSPHRASE + "\n")
        token.wait_for("listening on")
        return token


def touch(token: Screen) -> str:
    """Press Enter on the software token once it asks; return its question."""
    question = token.wait_for(r"\? .*\n")
    token.wait_for("Enter = touch")
    token.type("\n")
    return question.strip().splitlines()[-1].lstrip("? ")
