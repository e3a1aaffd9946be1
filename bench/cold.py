"""Cold start: from the call that activates the daemon to the answer, the vault set up and locked.

The floor is a Python service of the same D-Bus library that is activated in the same way and answers a constant.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from demo.stage import Stage
from tests.rigs.system import World

from bench.libraries import wanted_libraries
from bench.measure import Row, Scale, medians, timed_async
from bench.person import memory_bytes, memory_not_locked
from bench.startup import IMPORTS
from ownerd.dbuslib import (
    LIBRARY_VARIABLE,
    Message,
    MessageBus,
    MessageType,
    call_bus,
    call_bus_daemon,
    connect_bus,
)
from ownerd.model import names

BARE: Final = "org.ownerd.Bench1"
AGAINST: Final = "a Python service of the same library, activated likewise, that answers a constant"
SERVICE: Final = """#!{python}
import asyncio
from {module} import Message
from {module}.aio import MessageBus


async def serve():
    bus = await MessageBus(bus_address={address!r}).connect()
    ended = asyncio.Event()

    def answer(message):
        if message.member == "Status":
            return Message.new_method_return(message, "s", ["locked"])
        if message.member == "Lock":
            asyncio.get_running_loop().call_later(0.01, ended.set)
            return Message.new_method_return(message)

    bus.add_message_handler(answer)
    await bus.request_name({name!r})
    await ended.wait()


asyncio.run(serve())
"""


def rows(scale: Scale) -> Iterator[Row]:
    """One row a library; one that is not installed is left out."""
    for library in wanted_libraries(scale):
        module = library.replace("-", "_")
        with memory_not_locked(), Stage() as stage, asyncio.Runner() as runner:
            stage.env[LIBRARY_VARIABLE] = library
            _install_bare(stage, module)
            stage.start_bus()
            world = World(stage, stage.start_daemon(), stage.start_token())
            world.set_up()
            stage.tool("lock").wait()
            world.daemon.wait()
            bus = runner.run(connect_bus(stage.env["DBUS_SESSION_BUS_ADDRESS"]))

            def sample(name: str, bus: MessageBus = bus, runner: asyncio.Runner = runner) -> float:
                seconds = runner.run(timed_async(lambda: _call(bus, name, "Status")))
                runner.run(_call(bus, name, "Lock"))
                while runner.run(call_bus_daemon(bus, "NameHasOwner", "s", [name])).body[0]:
                    time.sleep(0.01)
                time.sleep(0.05)  # its process ends after its name
                return seconds

            found = medians(
                {"ours": lambda: sample(names.BUS_NAME), "floor": lambda: sample(BARE)},
                scale.rounds(11),
                warm_up=1,
            )
        short = library.removeprefix("dbus-")
        what = f"D-Bus activation to the answer of Status, locked vault, {library}"
        yield Row(f"cold-{short}", what, AGAINST, found["ours"], found["floor"])


def _install_bare(stage: Stage, module: str) -> None:
    """The floor's service, beside ours."""
    program = stage.home / "bare"
    address = stage.env["DBUS_SESSION_BUS_ADDRESS"]
    program.write_text(SERVICE.format(python=sys.executable, module=module, address=address, name=BARE))
    program.chmod(0o755)
    (stage.home / "services" / f"{BARE}.service").write_text(
        f"[D-BUS Service]\nName={BARE}\nExec={program}\n"
    )


async def _call(bus: MessageBus, name: str, member: str) -> Message:
    message = Message(
        destination=name,
        path=names.OWNER_PATH,
        interface=f"{names.OWNER_INTERFACE_PREFIX}Agent",
        member=member,
    )
    reply = await call_bus(bus, message)
    assert reply.message_type is MessageType.METHOD_RETURN
    return reply


def idle_imports(stage: Stage) -> int:
    """Proportional set size of a Python that imports the libraries and waits."""
    process = subprocess.Popen(
        IMPORTS, env=stage.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        return memory_bytes(process.pid)
    finally:
        process.kill()
        process.communicate()
