"""A notification server stand-in on a private bus, and a scripted `NotificationSender`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ownerd.bus.notifications import SERVER
from ownerd.dbuslib import Message, MessageBus, MessageType, close_bus, connect_bus

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""


@dataclass(frozen=True)
class NotificationBus:
    """A session bus of one test: its address, and the directory of its activatable services."""

    address: str
    services: Path


@pytest.fixture
def notification_bus(tmp_path: Path) -> Iterator[NotificationBus]:
    directory = tmp_path / "notification-bus"
    services = directory / "services"
    services.mkdir(parents=True)
    socket = directory / "bus"
    config = directory / "bus.conf"
    config.write_text(_CONFIG.format(socket=socket, services=services))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    assert daemon.stdout is not None
    try:
        assert daemon.stdout.readline()
        yield NotificationBus(f"unix:path={socket}", services)
    finally:
        daemon.terminate()
        daemon.wait(5)
        daemon.stdout.close()


@dataclass
class NotificationServer:
    """Takes notifications and keeps what is on the screen; ``silent`` never answers, ``rude`` answers errors."""

    silent: bool = False
    rude: bool = False
    calls: list[list[object]] = field(default_factory=list)
    on_screen: dict[int, tuple[str, str]] = field(default_factory=dict)
    _next: int = 7

    def handle(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL or message.interface != SERVER:
            return None
        self.calls.append([message.member, *message.body])
        if self.silent:
            return True
        if self.rude:
            return Message.new_error(message, "org.freedesktop.DBus.Error.Failed", "go away")
        if message.member == "CloseNotification":
            self.on_screen.pop(message.body[0], None)
            return Message.new_method_return(message)
        shown = message.body[1] or self._next
        self._next += not message.body[1]
        self.on_screen[shown] = (message.body[3], message.body[4])
        return Message.new_method_return(message, "u", [shown])


@contextlib.asynccontextmanager
async def serving(address: str, server: NotificationServer) -> AsyncIterator[MessageBus]:
    """Run ``server`` on the bus; yields another connection, for the client under test."""
    served = await connect_bus(address)
    client = await connect_bus(address)
    served.add_message_handler(server.handle)
    await served.request_name(SERVER)
    try:
        yield client
    finally:
        await close_bus(client)
        await close_bus(served)


@dataclass
class FakeSender:
    """A `NotificationSender` in memory; ``fail`` is raised, ``hang`` waits for ever."""

    fail: Exception | None = None
    hang: bool = False
    shown: list[tuple[str, str, int]] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)

    async def notify(self, summary: str, body: str, *, replaces: int) -> int:
        await self._act()
        self.shown.append((summary, body, replaces))
        return replaces or len(self.shown)

    async def close(self, notification_id: int) -> None:
        await self._act()
        self.closed.append(notification_id)

    async def _act(self) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.fail is not None:
            raise self.fail
