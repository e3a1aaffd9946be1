"""A private dbus-daemon per test, the bus service in a process of its own under each library, and a client.

The client speaks raw messages through `ownerd.dbuslib`, so that a test sees what is on the wire.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ownerd.dbuslib import LIBRARY, LIBRARY_VARIABLE, Message, MessageFlag, MessageType, Variant, connect_bus
from ownerd.model import names

ROOT = Path(__file__).parents[2]
LIBRARIES = ("dbus-next", "dbus-fast")

# Policy and limits of the session bus that dbus ships, without its service directories.
_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type><keep_umask/><listen>unix:path={directory}/bus</listen><auth>EXTERNAL</auth>
  {services}
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">1000000000</limit><limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_message_size">1000000000</limit><limit name="max_replies_per_connection">50000</limit>
</busconfig>
"""


def require_rig(*programs: str) -> None:
    """Skip without ``programs``; in CI fail."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"missing: {missing}")
    if missing:
        pytest.skip(f"missing: {missing}")


@dataclass
class PrivateBus:
    """One running dbus-daemon; ``directory`` is its own, ``services`` its activation files."""

    directory: Path
    process: subprocess.Popen[str]

    @property
    def address(self) -> str:
        return f"unix:path={self.directory}/bus"

    @property
    def services(self) -> Path:
        return self.directory / "services"


@pytest.fixture
def private_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBus]:
    require_rig("dbus-daemon")
    directory = tmp_path_factory.mktemp("bus")
    (directory / "services").mkdir()
    services = f"<servicedir>{directory}/services</servicedir>"
    config = directory / "bus.conf"
    config.write_text(_CONFIG.format(directory=directory, services=services))
    process = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("unix:")
    yield PrivateBus(directory, process)
    process.terminate()
    process.wait(10)


@dataclass
class Served:
    """The bus service in its own process."""

    bus: PrivateBus
    library: str
    process: subprocess.Popen[str]
    calls_path: Path
    log_path: Path

    @property
    def address(self) -> str:
        return self.bus.address

    def calls(self) -> list[list[Any]]:
        text = self.calls_path.read_text() if self.calls_path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    async def wait_call(self, name: str) -> list[Any]:
        """The first noted call of that name."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = [call for call in self.calls() if call[0] == name]
            if found:
                return found[0]
            await asyncio.sleep(0.01)
        raise AssertionError(f"no call {name} in {self.calls()}")

    def log(self) -> str:
        return self.log_path.read_text()


def start_service(bus: PrivateBus, library: str, *, own_uid: int | None = None) -> Served:
    """Start the service process; its first line says ``ready`` or why not (``Served.first_line``)."""
    serial = len(list(bus.directory.glob("calls*")))
    calls, log = bus.directory / f"calls{serial}", bus.directory / f"log{serial}"
    calls.touch()
    arguments = [bus.address, str(calls), *([] if own_uid is None else [str(own_uid)])]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.rigs.bus_agent", *arguments],
            cwd=ROOT,
            env={**os.environ, LIBRARY_VARIABLE: library},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    return Served(bus, library, process, calls, log)


def first_line(served: Served) -> str:
    assert served.process.stdout is not None
    return served.process.stdout.readline().strip()


def stop_service(served: Served) -> None:
    served.process.terminate()
    served.process.wait(10)


@pytest.fixture
def private_bus_service(private_bus: PrivateBus) -> Iterator[Served]:
    """The service under the library that this environment would choose, for what does not depend on it."""
    service = start_service(private_bus, LIBRARY)
    assert first_line(service) == "ready", service.log()
    yield service
    stop_service(service)


@pytest.fixture(params=LIBRARIES)
def served(request: pytest.FixtureRequest, private_bus: PrivateBus) -> Iterator[Served]:
    service = start_service(private_bus, request.param)
    line = first_line(service)
    assert line == "ready", (line, service.log())
    yield service
    stop_service(service)


@dataclass
class Client:
    """One connection to the bus that keeps every signal it receives."""

    bus: Any
    signals: list[Message] = field(default_factory=list)
    arrived: list[Message] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return str(self.bus.unique_name)

    pid = os.getpid()
    uid = os.getuid()

    def receive(self, message: Message) -> None:
        if message.sender != "org.freedesktop.DBus":
            self.arrived.append(message)
        if message.message_type is MessageType.SIGNAL and message.path.startswith(names.AGENT_PATH):
            self.signals.append(message)
            self._news.set()

    async def call(
        self,
        path: str,
        interface: str | None,
        member: str,
        signature: str = "",
        *body: Any,
        destination: str = names.BUS_NAME,
    ) -> Message:
        """The raw reply, error or not."""
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        async with asyncio.timeout(20):
            return await self.bus.call(message)

    def send_only(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> None:
        message = Message(
            destination=names.BUS_NAME,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=MessageFlag.NO_REPLY_EXPECTED,
        )
        self.bus.send(message)

    async def owner(self, interface: str, member: str, signature: str = "", *body: Any) -> Message:
        return await self.call(
            names.OWNER_PATH, names.OWNER_INTERFACE_PREFIX + interface, member, signature, *body
        )

    async def present(self, plan: dict[str, Any] | str, **options: Any) -> Message:
        text = plan if isinstance(plan, str) else json.dumps(plan)
        variants = {k: v if isinstance(v, Variant) else Variant("s", v) for k, v in options.items()}
        return await self.call(names.AGENT_PATH, names.AGENT_INTERFACE, "Present", "sa{sv}", text, variants)

    async def cancel(self, path: str) -> Message:
        return await self.call(path, names.REQUEST_INTERFACE, "Cancel")

    async def response(self, path: str) -> tuple[int, dict[str, Any]]:
        """Wait for the Response of a request."""
        async with asyncio.timeout(20):
            while True:
                self._news.clear()
                for found in self.signals:
                    if found.path == path and found.member == "Response":
                        return found.body[0], {key: value.value for key, value in found.body[1].items()}
                await self._news.wait()

    async def has_owner(self) -> bool:
        """Whether somebody holds the service's name now."""
        bus = "org.freedesktop.DBus"
        reply = await self.call(
            "/org/freedesktop/DBus", bus, "NameHasOwner", "s", names.BUS_NAME, destination=bus
        )
        return bool(reply.body[0])

    async def settle(self) -> None:
        """Return after everything that was on its way to us when this was called."""
        await self.call(
            "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", destination="org.freedesktop.DBus"
        )
        await self.call(names.AGENT_PATH, "org.freedesktop.DBus.Peer", "Ping")

    async def listen(self) -> None:
        """Subscribe to all signals of the service, as any client may."""
        await self.call(
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "AddMatch",
            "s",
            "type='signal'",
            destination="org.freedesktop.DBus",
        )


@asynccontextmanager
async def client(address: str) -> Any:
    """A connected `Client`, disconnected at the end."""
    bus = await connect_bus(address)
    made = Client(bus)
    bus.add_message_handler(made.receive)
    try:
        yield made
    finally:
        bus.disconnect()
