"""The owner's interfaces over a real bus."""

from __future__ import annotations

import asyncio
import os
import pty

from tests.rigs.bus import Served, client
from tests.rigs.bus_agent import CANARY_JWE

from ownerd.dbuslib import MessageType, Variant
from ownerd.model import names


def _plain(value: object) -> object:
    if isinstance(value, Variant):
        return _plain(value.value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def test_status_tokens_and_requests_are_listed(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as tool:
            assert _plain((await tool.owner("Agent", "Status")).body[0]) == {
                "set_up": True,
                "unlocked": False,
                "claims": 3,
                "providers": 2,
                "tokens": 1,
                "entries": 9,
                "pending": 1,
                "recovery": True,
            }
            tokens = _plain((await tool.owner("Tokens", "List")).body[0])
            assert [(t["id"], t.get("pin_tries"), t["software"]) for t in tokens] == [
                ("t1", 8, False),
                ("t2", None, True),
            ]
            (waiting,) = _plain((await tool.owner("Requests", "List")).body[0])
            assert waiting["id"] == "7"
            assert waiting["confidence"] == "scope"

    asyncio.run(run())


def test_the_session_key_and_versions_are_properties(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as tool:

            async def get(path: str, interface: str, name: str) -> object:
                reply = await tool.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)
                return reply.body[0].value

            assert await get(names.OWNER_PATH, "org.ownerd.Owner1.Agent", "SessionKey") == '{"kty":"EC"}'
            assert await get(names.OWNER_PATH, "org.ownerd.Owner1.Agent", "Version") == 2
            assert await get(names.AGENT_PATH, "org.ownerd.Agent1", "Version") == 2
            assert await get(names.AGENT_PATH, "org.ownerd.Agent1", "SessionKey") == '{"kty":"EC"}'

    asyncio.run(run())


def test_sealed_calls_and_unlock_end_with_a_response(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as tool:
            calls = {"Setup": "Agent", "Read": "Data", "Change": "Data"}
            for member, interface in calls.items():
                reply = await tool.owner(interface, member, "sa{sv}", "sealed", {})
                assert await tool.response(reply.body[0]) == (0, {"sealed": CANARY_JWE})
            reply = await tool.owner("Agent", "Unlock", "a{sv}", {})
            assert await tool.response(reply.body[0]) == (0, {})
            assert [call[0] for call in served.calls()] == ["setup", "read", "change", "unlock"]

    asyncio.run(run())


def test_a_change_of_pin_is_a_request_and_names_its_token(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as tool:
            reply = await tool.owner("Tokens", "ChangePin", "sa{sv}", "pcsc-Reader 1 [CCID] 00", {})
            assert await tool.response(reply.body[0]) == (0, {})
            assert await served.wait_call("pin of") == ["pin of", "pcsc-Reader 1 [CCID] 00"]
            for bad in ("", "a\nb", "x" * 257):
                reply = await tool.owner("Tokens", "ChangePin", "sa{sv}", bad, {})
                assert reply.error_name == "org.ownerd.Error.InvalidArgument", bad
            reply = await tool.owner("Tokens", "ChangePin", "sa{sv}", "t1", {"pin": Variant("s", "1234")})
            assert reply.error_name == "org.ownerd.Error.InvalidArgument", "a PIN never travels over the bus"
            assert [call[0] for call in served.calls()] == ["pin of", "change_pin"]

    asyncio.run(run())


def test_a_lent_terminal_reaches_the_request_and_the_approval(served: Served) -> None:
    controller, terminal = pty.openpty()
    tty = os.ttyname(terminal)
    options = {"tty": Variant("s", tty), "term": Variant("s", "xterm"), "locale": Variant("s", "de_DE.UTF-8")}

    async def run() -> None:
        async with client(served.address) as tool:
            path = (await tool.present("x", **options)).body[0]
            assert (await tool.response(path))[0] == 0
            assert (await served.wait_call("present"))[-1] == [tty, "xterm", "de_DE.UTF-8"]
            without = {"without": Variant("as", ["email"]), "tty": Variant("s", tty)}
            reply = await tool.owner("Requests", "Approve", "sa{sv}", "7", without)
            assert reply.message_type is MessageType.METHOD_RETURN
            assert await served.wait_call("approve") == ["approve", "7", tty, ["email"]]
            assert (
                await tool.owner("Requests", "Refuse", "s", "7")
            ).message_type is MessageType.METHOD_RETURN
            refused = await tool.owner("Requests", "Refuse", "s", "8")
            assert (refused.error_name, refused.body) == ("org.ownerd.Error.NotFound", ["no such request"])

    asyncio.run(run())
    os.close(controller)
    os.close(terminal)


def test_one_program_lends_its_terminal_at_a_time_until_it_leaves(served: Served) -> None:
    controller, terminal = pty.openpty()
    options = {"tty": Variant("s", os.ttyname(terminal))}

    async def run() -> None:
        async with client(served.address) as other:
            async with client(served.address) as tool:
                assert (await tool.owner("Requests", "Watch", "a{sv}", options)).error_name is None
                busy = await other.owner("Requests", "Watch", "a{sv}", options)
                assert busy.error_name == "org.ownerd.Error.Busy"
                await other.owner("Requests", "Unwatch")  # not its to end
                busy = await other.owner("Requests", "Watch", "a{sv}", options)
                assert busy.error_name == "org.ownerd.Error.Busy"
            await served.wait_call("watch")
            while ["watch", None] not in served.calls():
                await asyncio.sleep(0.01)
            assert (await other.owner("Requests", "Watch", "a{sv}", options)).error_name is None
            assert (await other.owner("Requests", "Unwatch")).error_name is None
            tty = os.ttyname(terminal)
            assert served.calls() == [["watch", tty], ["watch", None], ["watch", tty], ["watch", None]]
            path = (await other.owner("Requests", "ShowValues", "a{sv}", options)).body[0]
            code, results = await other.response(path)
            assert (code, results["error"]) == (1, "NotAllowed"), "it lends no terminal"
            bare = await other.owner("Requests", "Watch", "a{sv}", {})
            assert bare.error_name == "org.ownerd.Error.InvalidArgument"

    asyncio.run(run())
    os.close(controller)
    os.close(terminal)
