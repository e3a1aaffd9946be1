"""The real daemon on bad days: killed at any call, on a disk that fails, under a clock that is wrong.

`BadWorld` is a stage whose daemon has tests/misbehaving/bad_day.c preloaded, and whose owner is a thread each at the
terminal and at the token, so that a round costs milliseconds. Apps and the owner's tool talk to it in this process.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import mmap
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from demo import provider_kit as kit
from demo.stage import Screen, Stage, StageError
from tests.rigs.bus import ROOT, require_rig

from ownerctl.client import Client, variants
from ownerctl.ledger_file import open_ledger
from ownerctl.sealed import Channel, require_session_key
from ownerd.dbuslib import close_bus, connect_bus
from ownerd.ledger.entry import Leaf, parse_leaf
from ownerd.ledger.verify import verify_ledger

KILL, SHORT, HALF = -1, -2, -3
HOST = "bookshop.example"
CLAIM = "given_name"
GRANT = {"grant_days": 30, "grant_count": 100_000, "grant_per_hour": 3600}


class _Page(ctypes.Structure):
    """``struct page`` of bad_day.c."""

    _fields_ = (
        ("what", ctypes.c_int32),
        ("at", ctypes.c_int32),
        ("lasting", ctypes.c_int32),
        ("seen", ctypes.c_int32),
        ("hit", ctypes.c_int32),
        ("kinds", ctypes.c_char * 12),
        ("only", ctypes.c_char * 64),
        ("shift", ctypes.c_int64),
        ("length", ctypes.c_uint32),
        ("log", ctypes.c_char * (1 << 16)),
    )


@functools.cache
def _compiled() -> bytes:
    compiler = shutil.which("gcc")
    assert compiler is not None
    source = ROOT / "tests" / "misbehaving" / "bad_day.c"
    with tempfile.NamedTemporaryFile(suffix=".so") as made:
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made.name, source, "-ldl"], check=True)
        return Path(made.name).read_bytes()


class BadDay:
    """What goes wrong in the daemon, and what it did since that was chosen."""

    def __init__(self, directory: Path, data: Path, config: Path) -> None:
        library, control = directory / "bad_day.so", directory / "bad_day"
        library.write_bytes(_compiled())
        control.write_bytes(bytes(ctypes.sizeof(_Page)))
        with control.open("r+b") as file:
            self._page = _Page.from_buffer(mmap.mmap(file.fileno(), 0))
        self.env = {
            "LD_PRELOAD": str(library),
            "BAD_DAY": str(control),
            "BAD_DAY_BELOW": str(data),
            "BAD_DAY_READ": str(config),
        }

    def choose(self, what: int, kinds: str, at: int, *, only: str = "", lasting: bool = False) -> None:
        """Let the ``at``-th call from now on, counted from 1, of ``kinds`` go wrong; 0 in ``what`` only counts.

        ``only`` counts among the calls that have this line in `calls` alone.
        """
        self.calm()
        page = self._page
        page.what, page.kinds, page.lasting, page.length = what, kinds.encode(), lasting, 0
        page.only = only.encode()
        page.seen = page.hit = 0
        page.at = at

    def calm(self) -> None:
        """Nothing goes wrong from here on."""
        self._page.at = 0

    def shift(self, seconds: int) -> None:
        """Set the wall clock ahead of ours, or behind it."""
        self._page.shift = seconds

    @property
    def hit(self) -> bool:
        """Whether what was chosen has happened."""
        return bool(self._page.hit)

    @property
    def calls(self) -> list[str]:
        """The counted calls, in their order: kind, and where to."""
        return bytes(self._page.log)[: self._page.length].decode().splitlines()


class Person:
    """A terminal of the owner's and somebody at it, who approves whatever is shown while ``willing``."""

    def __init__(self) -> None:
        self._terminal, self._child = os.openpty()
        self.tty = os.ttyname(self._child)
        self.willing = True
        self.shown = ""
        threading.Thread(target=self._sit, daemon=True).start()

    def _sit(self) -> None:
        seen = 0
        while True:
            try:
                self.shown += os.read(self._terminal, 65536).decode("utf-8", "replace")
            except OSError:
                return
            asked = re.search(r"\[(\w)r\]\? ", self.shown[seen:])
            if asked:
                seen += asked.end()
                os.write(self._terminal, ((asked[1] if self.willing else "r") + "\n").encode())


class Nobody:
    """An observer that looks away."""

    def show(self, state: str, details: Mapping[str, str | int], /) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Asked:
    """One request of the shop's: ``text`` goes to the daemon, the rest stays to check the answer with."""

    text: str
    parameters: dict[str, Any]
    key: Any

    def claims_of(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Every check that a provider makes."""
        return kit.verify_response(results["response"], self.parameters, self.key).claims


def crowded() -> float:
    """By how much longer things may take because others use the machine: 1 on a calm one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1)


class BadWorld:
    """A stage, a token that is touched at once, a person, and the daemon when `start` was called."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.day = BadDay(stage.home, stage.database.parent, stage.home / "config")
        self.token = stage.start_token()
        self.person = Person()
        self.daemon: Screen | None = None
        self._ca = kit.make_ca("Demo CA")
        self._shop = kit.make_provider(self._ca, HOST)
        pem = self._ca.certificate.public_bytes(kit.Encoding.PEM)
        (stage.trust_directory / "shop.pem").write_bytes(pem)
        threading.Thread(target=self._touch, daemon=True).start()

    def _touch(self) -> None:
        while True:
            try:
                self.token.wait_for("Enter = touch", 3600)
                self.token.type("\n")
            except (StageError, OSError):
                return

    # -- the daemon --

    def start(self) -> Screen:
        """Start the daemon and wait until it serves."""
        self.stage.env |= self.day.env
        try:
            self.daemon = self.stage.start_daemon()
        finally:
            for name in self.day.env:
                del self.stage.env[name]
        return self.daemon

    def kill(self) -> None:
        """Make sure that the daemon is gone, with SIGKILL."""
        if self.daemon is not None:
            self.daemon.process.kill()
            self.daemon.process.wait(10)
            self.daemon = None
        self.day.calm()

    async def end(self) -> None:
        """Lock, and wait until the daemon has ended."""
        assert self.daemon is not None
        await self.lock()
        assert await asyncio.to_thread(self.daemon.wait) == 0, self.daemon.text
        self.daemon = None

    # -- whoever talks to it --

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection of its own to the bus, and to the daemon that runs: none is activated in its place."""
        bus = await connect_bus(self.stage.env["DBUS_SESSION_BUS_ADDRESS"])
        try:
            made = Client(bus)
            await made.owner(activate=False)
            yield made
        finally:
            await close_bus(bus)

    async def owner(self, interface: str, member: str, *texts: str) -> dict[str, Any]:
        """The owner's tool asks, and lends its terminal."""
        async with self.client() as tool, asyncio.timeout(30):
            return await tool.owner_ask(interface, member, texts, {"tty": self.person.tty}, Nobody())

    async def sealed(self, interface: str, member: str, message: dict[str, Any]) -> dict[str, Any]:
        """`owner` with a sealed message."""
        async with self.client() as tool, asyncio.timeout(30):
            path = self.stage.home / "run" / "ownerd" / "session-key.json"
            channel = Channel(require_session_key(await tool.session_key(), path))
            lent = {"tty": self.person.tty}
            results = await tool.owner_ask(interface, member, (channel.seal(message),), lent, Nobody())
            return channel.open(results["sealed"])

    async def set_up(self) -> None:
        async with self.client() as tool:
            (tokens,) = await tool.owner_call("Tokens", "List")
        await self.sealed("Agent", "Setup", {"token": tokens[0]["id"], "user_verification": False})

    async def unlock(self) -> None:
        await self.owner("Agent", "Unlock")

    async def set(self, name: str, value: str) -> None:
        claims = [{"name": name, "value": value, "source": "owner"}]
        await self.sealed("Data", "Change", {"change": "set", "claims": claims})

    async def lock(self) -> None:
        async with self.client() as tool, asyncio.timeout(30):
            await tool.owner_call("Agent", "Lock")

    def request(self, *, signed: bool = True, claim: str = CLAIM) -> Asked:
        """A new request of the shop, or of somebody unsigned."""
        host = HOST if signed else "stranger.example"
        uri, key = f"https://{host}/answer", kit.new_encryption_key()
        client_id = f"x509_san_dns:{host}" if signed else f"redirect_uri:{uri}"
        asked = kit.parameters(client_id, uri, [claim], key)
        text = kit.signed_request(asked, self._shop) if signed else kit.unsigned_request(asked)
        return Asked(text, asked, key)

    async def present(self, asked: Asked, app: Client | None = None) -> dict[str, Any]:
        """An app asks; returns what it gets."""
        options = {"tty": self.person.tty}
        if app is not None:
            return await app.present(asked.text, options, Nobody())
        async with self.client() as made, asyncio.timeout(30):
            return await made.present(asked.text, options, Nobody())

    async def grant(self) -> None:
        """Approve the shop once for all that follows."""
        asked = self.request()
        self.person.willing = True
        async with self.client() as app, self.client() as tool, asyncio.timeout(30):
            first = asyncio.ensure_future(app.present(asked.text, {}, Nobody()))
            while not (rows := (await tool.owner_call("Requests", "List"))[0]):
                await asyncio.sleep(0.01)
            options = {**GRANT, "tty": self.person.tty}
            await tool.owner_call("Requests", "Approve", "sa{sv}", rows[0]["id"], variants(options))
            asked.claims_of(await first)

    # -- the ledger --

    def verified(self) -> list[Leaf]:
        """Verify the file as `ownerctl ledger verify` does; returns its entries."""
        if _is_blank(self.stage.database):
            return []
        with open_ledger(self.stage.database) as file:
            entries = list(file.entries())
            report = verify_ledger(entries, file.checkpoints(), file.openings())
        assert report.ok, report.findings
        return [parse_leaf(leaf) for _, leaf in entries]


def _is_blank(database: Path) -> bool:
    """Whether nothing was ever set up: no file, or one without tables."""
    # A rollback journal is of the moment before the write-ahead log, and so before the first table.
    if not database.exists() or database.with_name(database.name + "-journal").exists():
        return True
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        return reader.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


@pytest.fixture
def bad_world(stage: Stage) -> Iterator[BadWorld]:
    """Token and person are there; no daemon runs, nothing is set up."""
    require_rig("gcc")
    world = BadWorld(stage)
    yield world
    world.kill()
