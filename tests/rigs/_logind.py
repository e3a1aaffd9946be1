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
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

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


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
