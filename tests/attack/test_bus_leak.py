"""Attack: make the daemon fail, and read what it says of it. Neither reply, Response nor log holds a value."""

from __future__ import annotations

import asyncio
import re

from tests.rigs.bus import Served, client

from ownerd.dbuslib import Variant

CANARY = "PIN 1234"


def _assert_clean(text: str) -> None:
    for leak in (CANARY, "PIN", "Traceback", "File ", ".py", "ValueError", "RuntimeError", "/"):
        assert leak not in text, (leak, text)


def test_an_unexpected_exception_is_a_reference_and_nothing_else(served: Served) -> None:
    async def run() -> list[str]:
        async with client(served.address) as app:
            path = (await app.present({"do": "bug", "text": CANARY})).body[0]
            code, results = await app.response(path)
            assert (code, results["error"]) == (2, "InternalError")
            _assert_clean(str(results))
            refused = await app.owner("Requests", "Refuse", "s", "bug")
            assert refused.error_name == "org.ownerd.Error.InternalError"
            _assert_clean(str(refused.body))
            odd = (await app.present({"do": "odd"})).body[0]
            code, unsendable = await app.response(odd)
            assert (code, unsendable["error"]) == (2, "InternalError")
            _assert_clean(str(unsendable))
            return [results["message"], refused.body[0], unsendable["message"]]

    messages = asyncio.run(run())
    log = served.log()
    assert CANARY not in log
    assert "Traceback" not in log
    for message in messages:
        reference = re.fullmatch(r"internal error, reference ([0-9a-f]{8})", message)
        assert reference is not None
        assert f"internal error {reference[1]}: " in log  # whoever runs the daemon finds it
    assert "ValueError at" in log
    assert "bus_agent.py:" in log


def test_a_failing_property_is_a_reference_too(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            await app.present({"do": "release", "session_key_bug": CANARY})
            properties = "org.freedesktop.DBus.Properties"
            await served.wait_call("present")
            got = await app.call(
                "/org/ownerd/Owner1", properties, "Get", "ss", "org.ownerd.Owner1.Agent", "SessionKey"
            )
            assert got.error_name == "org.ownerd.Error.InternalError"
            _assert_clean(str(got.body))
            everything = await app.call(
                "/org/ownerd/Owner1", properties, "GetAll", "s", "org.ownerd.Owner1.Agent"
            )
            assert everything.error_name == "org.ownerd.Error.InternalError"
            _assert_clean(str(everything.body))

    asyncio.run(run())
    assert CANARY not in served.log()


def test_what_a_caller_wrote_does_not_reach_the_log(served: Served) -> None:
    """Else a caller forges log lines, or fills the journal at its leisure."""
    line = "\n2026 ownerd: forged line \x1b[31m"

    async def run() -> None:
        async with client(served.address) as app:
            for _ in range(3):
                refused = await app.present("x", **{line: Variant("s", line)})
                assert refused.error_name == "org.ownerd.Error.InvalidArgument"
                assert "\n" not in refused.body[0]
                assert "\x1b" not in refused.body[0]
                await app.call(
                    "/org/ownerd/Agent1", "org.freedesktop.DBus.Properties", "Get", "ss", line, line
                )
                await app.owner("Requests", "Refuse", "s", line)
                await app.owner("Agent", "NoSuch", "s", line)

    asyncio.run(run())
    assert served.log() == ""
