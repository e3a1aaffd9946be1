"""Attack: malformed, oversized and ill-typed calls. Each is refused by name, and the service lives on."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from tests.rigs.bus import Client, Served, client
from tests.rigs.bus_raw import Patch, RawConnection, add_header_field, set_byte

from ownerd.dbuslib import Message, Variant
from ownerd.model import names

INVALID = "org.ownerd.Error.InvalidArgument"
_BUS = "org.freedesktop.DBus"


async def _still_serves(served: Served, app: Client) -> None:
    path = (await app.present("x")).body[0]
    assert (await app.response(path))[0] == 0
    assert served.process.poll() is None


_OPTIONS = {
    "empty token": {"handle_token": Variant("s", "")},
    "path in token": {"handle_token": Variant("s", "../../../etc")},
    "slash in token": {"handle_token": Variant("s", "a/b")},
    "newline after token": {"handle_token": Variant("s", "a\n")},
    "letters of other scripts": {"handle_token": Variant("s", "жаба")},
    "long token": {"handle_token": Variant("s", "a" * 65)},
    "token of another type": {"handle_token": Variant("u", 7)},
    "token in a variant": {"handle_token": Variant("v", Variant("s", "a"))},
    "unknown option": {"parent_window": Variant("s", "x11:1")},
    "option of another call": {"without": Variant("as", ["email"])},
    "tty elsewhere": {"tty": Variant("s", "/etc/passwd")},
    "tty by a detour": {"tty": Variant("s", "/dev/pts/../../etc/passwd")},
    "tty that is no terminal": {"tty": Variant("s", "/dev/null")},
    "tty without a number": {"tty": Variant("s", "/dev/pts/ptmx")},
    "tty of the asker itself": {"tty": Variant("s", "/dev/tty")},
    "tty that is not there": {"tty": Variant("s", "/dev/pts/999999999")},
    "tty as a list": {"tty": Variant("as", ["/dev/pts/0"])},
    "relative tty": {"tty": Variant("s", "dev/pts/0")},
}


def test_options_are_refused_by_name(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            for what, options in _OPTIONS.items():
                reply = await app.present("x", **options)
                if reply.error_name is None:  # the terminal is judged when the caller's uid is known
                    code, results = await app.response(reply.body[0])
                    assert (code, results["error"]) == (2, "InvalidArgument"), what
                else:
                    assert reply.error_name == INVALID, (what, reply.error_name, reply.body)
            assert served.calls() == []
            await _still_serves(served, app)

    asyncio.run(run())


@pytest.mark.parametrize("key", ["term", "locale"])
def test_terminal_names_are_refused_with_characters_that_mean_something_elsewhere(
    private_bus_service: Served, key: str
) -> None:
    served = private_bus_service
    controller, terminal = os.openpty()
    tty = Variant("s", os.ttyname(terminal))
    bad = ["", "x\n", "a b", "../x", "x;reboot", "-x", "$(id)", "x" * 65, "\u202ex"]

    async def run() -> None:
        async with client(served.address) as app:
            for text in bad:
                reply = await app.present("x", tty=tty, **{key: Variant("s", text)})
                code, results = await app.response(reply.body[0])
                assert (code, results["error"]) == (2, "InvalidArgument"), text
            assert served.calls() == []

    asyncio.run(run())
    os.close(controller)
    os.close(terminal)


def test_texts_are_bounded(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            for text in ("", "x" * (256 * 1024 + 1), "ж" * (128 * 1024 + 1), "x" * 20_000_000):
                assert (await app.present(text)).error_name == INVALID
                sealed = await app.owner("Data", "Read", "sa{sv}", text, {})
                assert sealed.error_name == INVALID
            assert served.calls() == []
            path = (await app.present("x" * (256 * 1024))).body[0]
            assert (await app.response(path))[0] == 0

    asyncio.run(run())


def test_wrong_signatures_members_and_paths_are_unknown(served: Served) -> None:
    agent, prefix = names.AGENT_INTERFACE, names.OWNER_INTERFACE_PREFIX
    calls = [
        (names.AGENT_PATH, agent, "Present", "s", "x"),
        (names.AGENT_PATH, agent, "Present", "sa{ss}", "x", {"tty": "x"}),
        (names.AGENT_PATH, agent, "Present", "sa{sv}s", "x", {}, "y"),
        (names.AGENT_PATH, agent, "present", "sa{sv}", "x", {}),
        (names.AGENT_PATH, agent, "_agent", ""),
        (names.AGENT_PATH, agent, "__init__", ""),
        (names.AGENT_PATH, prefix + "Agent", "Status", ""),
        (names.OWNER_PATH, agent, "Present", "sa{sv}", "x", {}),
        (names.OWNER_PATH + "/x", prefix + "Agent", "Status", ""),
        (names.REQUEST_PATH_PREFIX, names.REQUEST_INTERFACE, "Cancel", ""),
        (names.REQUEST_PATH_PREFIX + "/a/b/c", names.REQUEST_INTERFACE, "Cancel", ""),
        (names.OWNER_PATH, None, "List", ""),
        (names.OWNER_PATH, _BUS + ".Properties", "Get", "ss", prefix + "Agent", "_agent"),
        (names.OWNER_PATH, _BUS + ".Properties", "Set", "ssv", prefix + "Agent", "Version", Variant("u", 9)),
    ]

    async def run() -> None:
        async with client(served.address) as app:
            for path, interface, member, signature, *body in calls:
                reply = await app.call(path, interface, member, signature, *body)
                assert reply.error_name is not None, (path, interface, member)
                assert reply.error_name.startswith(_BUS + ".Error."), reply.error_name
            assert served.calls() == []
            await _still_serves(served, app)
        assert served.log() == ""

    asyncio.run(run())


def test_a_token_in_use_is_refused_and_free_again_afterwards(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app, client(served.address) as other:
            path = (await app.present({"do": "wait"}, handle_token="t")).body[0]
            assert (await app.present("x", handle_token="t")).error_name == INVALID
            theirs = (await other.present("x", handle_token="t")).body[0]
            assert theirs != path
            await app.cancel(path)
            await app.response(path)
            assert (await app.present("x", handle_token="t")).body == [path]

    asyncio.run(run())


_PATCHES: dict[str, Patch] = {
    "unknown message type": set_byte(1, 5),
    "unknown flags": set_byte(2, 0xF8),
    "unknown header field": add_header_field(20, b"hi"),
}


@pytest.mark.parametrize("what", _PATCHES)
def test_messages_from_a_future_protocol_do_not_end_the_connection(served: Served, what: str) -> None:
    raw = RawConnection(f"{served.bus.directory}/bus")
    call = Message(
        destination=names.BUS_NAME, path=names.AGENT_PATH, interface=names.AGENT_INTERFACE, member="Foo"
    )
    raw.send(call, _PATCHES[what])
    raw.wait_for(b"Error")

    async def run() -> None:
        async with client(served.address) as app:
            await _still_serves(served, app)

    asyncio.run(run())
    raw.close()


def test_deeply_nested_values_are_refused(served: Served) -> None:
    value = Variant("s", "x")
    for _ in range(58):
        value = Variant("v", value)

    async def run() -> None:
        async with client(served.address) as app:
            assert (await app.present("x", handle_token=value)).error_name == INVALID
            await _still_serves(served, app)

    asyncio.run(run())


def test_descriptors_are_refused_and_closed(served: Served) -> None:
    """Left open they would use up the daemon's table, and it could open its own database no more."""
    raw = RawConnection(f"{served.bus.directory}/bus", descriptors=True)
    here, there = os.pipe()

    def open_descriptors() -> int:
        return len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))

    before = open_descriptors()
    for _ in range(30):
        call = Message(
            destination=names.BUS_NAME,
            path=names.AGENT_PATH,
            interface=names.AGENT_INTERFACE,
            member="Present",
            signature="sa{sv}",
            body=["x", {"tty": Variant("h", 0)}],
        )
        raw.send(call, descriptors=[here, there, here, there])
        assert b"InvalidArgs" in raw.wait_for(b"descriptors are not accepted")
    deadline = time.monotonic() + 5
    while open_descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert open_descriptors() <= before
    assert served.calls() == []
    for descriptor in (here, there):
        os.close(descriptor)
    raw.close()
