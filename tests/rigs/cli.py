"""``ownerctl`` as a process, against a scripted agent behind the real bus service on a private bus.

The agent speaks the real formats (sealed messages, requests, presentations); what a call shows and how it
ends is chosen by a plan, JSON in a file that each call reads anew:
``{"unlock": {"progress": [["waiting-for-touch", {…}]], "do": "wait"}, "status": {…}, "tokens": […]}``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from tests.rigs import _cli_agent
from tests.rigs.bus import PrivateBus

# One process has all modules of the agent; what it forks is there at once, and some hundred are.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.rigs._cli_agent"])
TOOL = [sys.executable, "-c", "from ownerctl.main import main; main()"]


@dataclass(frozen=True)
class Ran:
    """How one run of the tool ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Desk:
    """A home directory of its own, a bus, and perhaps an agent on it."""

    home: Path
    address: str
    agent: BaseProcess | None = None

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "DBUS_SESSION_BUS_ADDRESS": self.address,
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "TZ": "UTC",
        }

    def plan(self, **plan: Any) -> None:
        (self.home / "plan.json").write_text(json.dumps(plan))

    def calls(self) -> list[list[Any]]:
        path = self.home / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def called(self, name: str) -> list[list[Any]]:
        return [call for call in self.calls() if call[0] == name]

    def wait_called(self, name: str) -> list[Any]:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if found := self.called(name):
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"no call {name} in {self.calls()}")

    def start_agent(self) -> None:
        heard, told = FORKS.Pipe(duplex=False)
        self.agent = FORKS.Process(target=_cli_agent.serve, args=(self.home, self.env, told), daemon=True)
        self.agent.start()
        told.close()
        assert heard.recv() == "ready"
        heard.close()

    def stop_agent(self) -> None:
        if self.agent is not None:
            self.agent.terminate()
            self.agent.join(10)
            self.agent = None

    def run(self, *arguments: str, stdin: str | bytes = b"", **env: str) -> Ran:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*TOOL, *arguments],
            input=given,
            capture_output=True,
            env={**self.env, **env},
            cwd=self.home,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def spawn(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """Start the tool without a terminal, to be interrupted."""
        return subprocess.Popen(
            [*TOOL, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.env, **env},
            cwd=self.home,
        )

    def terminal(self, *arguments: str, stdout: int | None = None, **env: str) -> Terminal:
        return Terminal([*TOOL, *arguments], {**self.env, **env}, self.home, stdout)


class Terminal:
    """The tool on a pseudo-terminal of its own: what it shows, and keys for it."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path, stdout: int | None) -> None:
        self.master, slave = pty.openpty()
        self.name = os.ttyname(slave)
        self.shown = ""
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 -- no thread is running, and the tool needs its terminal
        )
        os.close(slave)

    def read(self, seconds: float) -> str:
        """Everything that shows up within ``seconds``."""
        deadline, start = time.monotonic() + seconds, len(self.shown)
        while (left := deadline - time.monotonic()) > 0 and self._read_some(left):
            pass
        return self.shown[start:]

    def expect(self, text: str, seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} not in {self.shown!r}"
            if not self._read_some(left):
                assert text in self.shown, f"{text!r} not in {self.shown!r}"

    def _read_some(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux: EIO once the last writer is gone
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait(self) -> int:
        while self.process.poll() is None:
            self._read_some(0.1)
        self.read(0.1)
        os.close(self.master)
        return self.process.returncode


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def bare_desk(private_bus: PrivateBus, tmp_path: Path) -> Desk:
    """A bus with nobody on it."""
    (tmp_path / "run" / "ownerd").mkdir(parents=True, mode=0o700)
    return Desk(tmp_path, private_bus.address)


@pytest.fixture
def cli_desk(bare_desk: Desk) -> Iterator[Desk]:
    """A bus with the scripted agent."""
    bare_desk.start_agent()
    yield bare_desk
    bare_desk.stop_agent()
