"""``ownerctl`` as a process, against a scripted agent behind the real bus service on a private bus.

The agent speaks the real formats (sealed messages, requests, presentations); what a call shows and how it
ends is chosen by a plan, JSON in a file that each call reads anew:
``{"unlock": {"progress": [["waiting-for-touch", {…}]], "do": "wait"}, "status": {…}, "tokens": […]}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.rigs._cli_bargain import BargainCases
from tests.rigs._cli_tokens import TokenCases
from tests.rigs.bus import ROOT, PrivateBus

TOOL = [sys.executable, "-c", "from ownerctl.main import main; main()"]
TIME = "2026-11-23T14:00:00.123Z"


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
    agent: subprocess.Popen[str] | None = None

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
        self.agent = subprocess.Popen(
            [sys.executable, "-m", "tests.rigs.cli", str(self.home)],
            cwd=ROOT,
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.agent.stdout is not None
        assert self.agent.stdout.readline() == "ready\n"

    def stop_agent(self) -> None:
        if self.agent is not None and self.agent.stdout is not None:
            self.agent.terminate()
            self.agent.wait(10)
            self.agent.stdout.close()
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


# -- the agent's process --


class ScriptedAgent(BargainCases, TokenCases):
    """An `AgentService` with claims in memory, following the plan."""

    def __init__(self, home: Path) -> None:
        from ownerd.credential.jwe import new_key

        self._home = home
        self._key = new_key()
        self._asked_by = ""
        self.claims = {"given_name": "Ada", "email": "ada@example.org"}
        self.ended = asyncio.Event()

    def note(self, *what: object) -> None:
        with (self._home / "calls").open("a") as file:
            file.write(json.dumps(what) + "\n")

    def plan(self, name: str, default: Any) -> Any:
        path = self._home / "plan.json"
        return json.loads(path.read_text()).get(name, default) if path.exists() else default

    async def act(self, what: str, job: Any) -> None:
        from ownerd.model.errors import error_table
        from ownerd.model.names import Progress

        terminal = job.terminal
        self.note(what, None if terminal is None else [terminal.tty, terminal.term, terminal.locale])
        plan = self.plan(what, {})
        for state, details in plan.get("progress", []):
            job.progress(Progress(state), details)
        if "error" in plan:
            raise error_table()[plan["error"]](plan.get("message", "told so"))
        if plan.get("do") == "die":
            os._exit(1)
        if plan.get("do") in {"wait", "hold"}:
            try:
                await asyncio.sleep(plan.get("seconds", 3600))
            except asyncio.CancelledError:
                self.note("cancelled", what)
                if plan["do"] == "wait":  # to hold is to be in a commit that a cancel does not undo
                    raise

    def _open(self, sealed: str) -> tuple[dict[str, Any], Any]:
        from ownerd.credential.jwe import open_jwe, seal_jwe

        message = json.loads(open_jwe(sealed, self._key))
        assert message.pop("v") == 1
        key = message.pop("key")
        self._asked_by = key["kid"]
        return message, lambda answer: seal_jwe(json.dumps(answer).encode(), key)

    def session_key(self) -> str:
        from ownerd.credential.jwe import public_jwk

        return json.dumps(public_jwk(self._key))

    def status(self) -> Any:
        from ownerd.core.service import Status

        plain = {"set_up": True, "unlocked": True, "providers": 1, "tokens": 1, "entries": 3, "pending": 0}
        return Status(**{**plain, "claims": len(self.claims), **self.plan("status", {})})

    async def present(self, caller: Any, request: str, job: Any, wishes: Any = None) -> Any:
        from cryptography.hazmat.primitives.asymmetric import ec

        from ownerd.core.service import Released
        from ownerd.credential.jwe import public_members
        from ownerd.credential.presentation import build_response, finish, prepare
        from ownerd.credential.request_object import read_request

        await self.act("present", job)
        if (offered := self.offered(request, wishes)) is not None:
            return offered
        if "response" in self.plan("present", {}):
            return Released(self.plan("present", {})["response"], 4)
        now = time.time()
        asked = read_request(request, anchors=[], now_ms=int(now * 1000))
        self.note("asked", asked.provider.client_id, asked.purpose)
        key = ec.generate_private_key(ec.SECP256R1())
        values = [
            (claim.path, self.claims[".".join(claim.path)]) for claim in asked.query.credentials[0].claims
        ]
        prepared = prepare(values, asked, holder_jwk=public_members(key), issued_at=int(now), rng=os.urandom)
        return Released(build_response(asked, {asked.query.credentials[0].id: finish(prepared, key)}), 4)

    async def delivered(self, released: Any) -> None:
        self.note("delivered", released.entry)

    async def setup(self, caller: Any, sealed: str, job: Any) -> str:
        message, seal = self._open(sealed)
        self.note("setup message", message)
        await self.act("setup", job)
        return seal({"entry": 1, "verifier_key": "ownerd/ab+cd+ef", "token": {"id": message["token"]}})

    async def unlock(self, caller: Any, job: Any) -> None:
        await self.act("unlock", job)

    def lock(self, reason: str) -> None:
        self.note("lock", reason)
        if self.plan("lock", {}).get("do") != "ignore":
            self.ended.set()

    async def tokens(self) -> Any:
        from ownerd.model.token import TokenInfo

        soft = {
            "id": "soft-1", "name": "software token 1", "transport": "software", "aaguid": "00",
            "firmware": 1, "has_pin": False, "pin_tries": None, "software": True,
        }  # fmt: skip
        self.note("tokens")
        return [TokenInfo(**{**soft, **token}) for token in self.plan("tokens", [{}])]

    def _claim(self, name: str) -> dict[str, Any]:
        return {"name": name, "value": self.claims[name], "source": "owner", "changed": TIME, "version": 1}

    async def read(self, caller: Any, sealed: str, job: Any) -> str:
        message, seal = self._open(sealed)
        self.note("read message", message)
        self.note("read key", self._asked_by)
        await self.act("read", job)
        what = message["what"]
        if what in {"tokens", "token"}:
            return seal(self.read_tokens(message))
        if what in {"policy", "explain", "grants"}:
            return seal(self.read_bargains(message))
        if what == "claims":
            wanted = message["names"] or list(self.claims)
            return seal({"claims": [self._claim(name) for name in wanted if name in self.claims]})
        if what == "entries" and (pages := self.plan("pages", None)) is not None:
            return seal(pages[str(message["start"])])
        name = {"provider": "providers", "entry": "entries"}.get(what, what)
        return seal({name: self.plan(name, [])})

    async def change(self, caller: Any, sealed: str, job: Any) -> str:
        message, seal = self._open(sealed)
        self.note("change message", message)
        await self.act("change", job)
        if message["change"].startswith(("token-", "recovery-")):
            return seal(self.change_tokens(message))
        if message["change"].startswith(("policy", "grant-", "provider-")):
            return seal(self.change_bargains(message))
        if message["change"] == "set":
            changed = {claim["name"]: claim["value"] for claim in message["claims"]}
            self.claims |= changed
        else:
            changed = {name: self.claims.pop(name) for name in message["names"]}
        return seal({"entry": 3, "claims": list(changed)})

    def pending(self) -> Any:
        from ownerd.core.service import Pending

        gone = {call[1] for call in map(json.loads, (self._home / "calls").read_text().splitlines())
                if call[0] in {"approve", "refuse"}}  # fmt: skip
        rows = self.plan("pending", [])
        return [
            Pending(row, "present", "app", "scope", "waiting-for-terminal", TIME)
            for row in rows
            if row not in gone
        ]

    def watch(self, terminal: Any) -> None:
        self.note("watch", None if terminal is None else terminal.tty)

    async def show_values(self, caller: Any, job: Any) -> None:
        await self.act("show_values", job)


async def _serve(home: Path) -> None:
    from ownerd.bus.service import BusService
    from ownerd.model.paths import session_key_path

    agent = ScriptedAgent(home)
    agent.note("started")
    service = BusService(agent)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    session_key_path().write_text(agent.plan("session_key", agent.session_key()))
    session_key_path().chmod(agent.plan("session_key_mode", 0o600))
    await service.start()
    print("ready", flush=True)
    ends = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(agent.ended.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    await service.stop()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
