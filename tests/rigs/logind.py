"""A stand-in for logind, in a process of its own on a private "system" bus.

It owns ``org.freedesktop.login1``, answers what the daemon asks, and hands out real inhibitor descriptors (the
write end of a pipe, as logind does). When one is let go it reports what was true at that moment: the newest entry
in the database, and how much memory its holder still had.

One JSON line per order on standard input, one per event on standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.rigs.system")

from demo.stage import Stage
from tests.rigs.bus import ROOT, PrivateBus
from tests.rigs.system import World

from ownerd.dbuslib import Message, MessageBus, MessageType, Variant, call_bus_daemon, connect_bus

LOGIN1 = "org.freedesktop.login1"
MANAGER_PATH = "/org/freedesktop/login1"
OURS = "/org/freedesktop/login1/session/_31"
OTHER = "/org/freedesktop/login1/session/_32"
USER_PATH = f"/org/freedesktop/login1/user/_{os.getuid()}"
PROPERTIES = "org.freedesktop.DBus.Properties"


class StandIn:
    """The service. ``by_pid``: whether callers run inside the session; else the user's Display is it."""

    def __init__(self, bus: MessageBus, database: Path, *, by_pid: bool) -> None:
        self.bus = bus
        self.database = database
        self.by_pid = by_pid
        self.hint = False
        self.display = OURS
        self.held: dict[int, int] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def say(self, **event: Any) -> None:
        print(json.dumps(event), flush=True)

    def receive(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL or message.path is None:
            return None
        member = message.member
        if member == "GetSessionByPID":
            if not self.by_pid:
                return Message.new_error(message, f"{LOGIN1}.NoSessionForPID", "no session")
            return Message.new_method_return(message, "o", [OURS])
        if member == "GetUser":
            return Message.new_method_return(message, "o", [USER_PATH])
        if member == "Get":
            self.say(event=f"asked {message.body[1]}")
            return Message.new_method_return(message, "v", [self.value(message.body[1])])
        if member == "Inhibit":
            task = asyncio.ensure_future(self.inhibit(message))
            self.tasks.add(task)
            return True
        return None

    def value(self, name: str) -> Variant:
        if name == "LockedHint":
            return Variant("b", self.hint)
        return Variant("(so)", ["1" if self.display != "/" else "", self.display])

    async def inhibit(self, message: Message) -> None:
        reply = await call_bus_daemon(self.bus, "GetConnectionUnixProcessID", "s", [message.sender])
        pid = reply.body[0]
        ours, theirs = os.pipe()
        self.bus.send(Message.new_method_return(message, "h", [0], [theirs]))
        await call_bus_daemon(self.bus, "GetId")  # answered when what was sent before has gone out
        os.close(theirs)
        self.held[ours] = pid
        asyncio.get_running_loop().add_reader(ours, self.let_go, ours)
        self.say(event="inhibited", arguments=message.body, sender=message.sender)

    def let_go(self, descriptor: int) -> None:
        pages = pages_of(self.held[descriptor])
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        del self.held[descriptor]
        self.say(event="released", pages=pages, newest=newest_entry(self.database))

    def signal(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> None:
        self.bus.send(Message.new_signal(path, interface, member, signature, list(body)))

    def order(self, order: dict[str, Any]) -> None:
        path = order.get("path", OURS)
        match order["do"]:
            case "lock":
                self.signal(path, f"{LOGIN1}.Session", "Lock")
            case "hint":
                self.hint = order["value"]
                changed = {"LockedHint": Variant("b", self.hint)}
                self.signal(
                    path, PROPERTIES, "PropertiesChanged", "sa{sv}as", f"{LOGIN1}.Session", changed, []
                )
            case "display":
                self.display = path
                changed = {"Display": Variant("(so)", ["2", path])}
                self.signal(
                    USER_PATH, PROPERTIES, "PropertiesChanged", "sa{sv}as", f"{LOGIN1}.User", changed, []
                )
            case "removed":
                self.signal(MANAGER_PATH, f"{LOGIN1}.Manager", "SessionRemoved", "so", "1", path)
            case "before":
                self.signal(MANAGER_PATH, f"{LOGIN1}.Manager", order["member"], "b", order["value"])


def newest_entry(database: Path) -> dict[str, Any] | None:
    """Kind and facts of the last entry that is in the database."""
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(database)
        try:
            row = connection.execute("SELECT leaf FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        finally:
            connection.close()
        core = json.loads(row[0])["core"]
        return {"kind": core["kind"], "facts": core["facts"]}
    return None


def pages_of(pid: int) -> int:
    """Pages of memory that process ``pid`` has; 0 when it is ending or gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    except (OSError, IndexError):
        return 0


async def serve(address: str, database: str, by_pid: str, hint: str) -> None:
    bus = await connect_bus(address, accept_descriptors=True)
    stand_in = StandIn(bus, Path(database), by_pid=by_pid == "yes")
    stand_in.hint = hint == "yes"
    bus.add_message_handler(stand_in.receive)
    await call_bus_daemon(bus, "RequestName", "su", [LOGIN1, 4])
    stand_in.say(event="ready")
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        stand_in.order(json.loads(line))


class Logind:
    """Handle of the stand-in's process."""

    def __init__(self, bus: PrivateBus, database: Path, *, by_pid: bool = True, hint: bool = False) -> None:
        arguments = [bus.address, str(database), "yes" if by_pid else "no", "yes" if hint else "no"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.rigs.logind", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for("ready")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))

    def wait_for(self, name: str, seconds: float = 15.0) -> dict[str, Any]:
        """The next event of that name; others before it are dropped."""
        deadline = time.monotonic() + seconds
        while True:
            event = self._next(max(0.0, deadline - time.monotonic()))
            if event["event"] == name:
                return event

    def _next(self, seconds: float) -> dict[str, Any]:
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError("the stand-in has nothing to tell") from None

    def wait_subscribed(self) -> dict[str, Any]:
        """Until a daemon has an inhibitor and knows its session and screen; how it asked for the inhibitor."""
        missing, inhibited = {"inhibited", "asked LockedHint"}, {}
        while missing:
            event = self._next(15.0)
            missing.discard(event["event"])
            if event["event"] == "inhibited":
                inhibited = event
        return inhibited

    def has(self, name: str) -> bool:
        """Whether an event of that name has come and was not taken yet; the rest is left alone."""
        return any(event["event"] == name for event in list(self._events.queue))

    def order(self, do: str, **rest: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **rest}) + "\n")
        self.process.stdin.flush()

    def before(self, member: str, value: bool = True) -> None:
        self.order("before", member=member, value=value)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(5)


@pytest.fixture
def logind(stage: Stage, private_bus: PrivateBus) -> Iterator[Logind]:
    """The stand-in, on a private bus in the part of the system bus."""
    stage.env["DBUS_SYSTEM_BUS_ADDRESS"] = private_bus.address
    made = Logind(private_bus, stage.database)
    yield made
    made.end()


@pytest.fixture
def open_world(logind: Logind, world: World) -> World:
    """The vault is set up and open, and the daemon has found logind."""
    logind.wait_subscribed()
    world.set_up()
    return world


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
