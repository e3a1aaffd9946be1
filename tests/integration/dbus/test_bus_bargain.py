"""Counter-offers, receipts and what the owner changes about a waiting request, over a real bus."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.rigs.bus import Served, client
from tests.rigs.bus_agent import CANARY_JWE, OFFER

from ownerd.dbuslib import Message, MessageType, Variant
from ownerd.model import names

INVALID = "org.ownerd.Error.InvalidArgument"
NOT_FOUND = "org.ownerd.Error.NotFound"
YES = Variant("b", True)


async def _end(app: Any, negotiation: str) -> Message:
    reply: Message = await app.call(
        names.AGENT_PATH, names.AGENT_INTERFACE, "EndNegotiation", "s", negotiation
    )
    return reply


async def _receive(app: Any, sealed: str, options: dict[str, Variant]) -> Message:
    reply: Message = await app.call(
        names.AGENT_PATH, names.AGENT_INTERFACE, "Receive", "sa{sv}", sealed, options
    )
    return reply


def test_a_counter_offer_is_code_3_and_is_accepted_with_the_same_request(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            path = (await app.present({"offer": "n-1"}, negotiate=YES)).body[0]
            offered = (3, {"negotiation": "n-1", "offer": OFFER, "entry": 40})
            assert await app.response(path) == offered
            path = (await app.present({"offer": "n-1"}, negotiate=YES, negotiation="n-1", accept=YES)).body[0]
            assert await app.response(path) == (0, {"response": CANARY_JWE, "entry": 41})
            assert await served.wait_call("delivered") == ["delivered", 41]
        wishes = [call[1:] for call in served.calls() if call[0] == "wishes"]
        assert wishes == [[True, None, False, False], [True, "n-1", True, False]]
        assert [call[0] for call in served.calls()].count("delivered") == 1, "an offer delivers nothing"

    asyncio.run(run())


def test_a_counter_offer_reaches_its_caller_alone(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app, client(served.address) as other:
            await other.listen()
            path = (await app.present({"offer": "n-1"}, negotiate=YES)).body[0]
            assert (await app.response(path))[0] == 3
            await other.settle()
            assert [m for m in other.arrived if m.message_type is MessageType.SIGNAL] == []

    asyncio.run(run())


def test_a_negotiation_is_ended_by_its_own_caller_and_once(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app, client(served.address) as other:
            path = (await app.present({"offer": "n-1"}, negotiate=YES)).body[0]
            await app.response(path)
            theirs = await _end(other, "n-1")
            assert (theirs.error_name, theirs.body) == (NOT_FOUND, ["no such negotiation"])
            assert (await _end(app, "n-1")).message_type is MessageType.METHOD_RETURN
            assert (await _end(app, "n-1")).error_name == NOT_FOUND
            for odd in ("", "n 1", "n" * 65, "../n"):
                assert (await _end(app, odd)).error_name == INVALID, odd
        assert [call for call in served.calls() if call[0] == "ended"] == [["ended", "n-1"]]

    asyncio.run(run())


@pytest.mark.parametrize("option", ["negotiate", "negotiation", "accept", "ask"])
def test_a_wish_of_another_type_is_refused_by_name(private_bus_service: Served, option: str) -> None:
    async def run() -> None:
        async with client(private_bus_service.address) as app:
            for odd in (Variant("u", 1), Variant("as", ["n-1"]), Variant("v", Variant("b", True))):
                reply = await app.present("x", **{option: odd})
                right = "s" if option == "negotiation" else "b"
                assert reply.error_name == INVALID
                assert reply.body == [f"option {option} is not of type {right}"]
        assert private_bus_service.calls() == []

    asyncio.run(run())


def test_what_a_provider_returned_is_handed_in_sealed(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as app:
            reply = await _receive(app, "a.sealed.receipt", {"handle_token": Variant("s", "mine")})
            assert reply.body[0].endswith("/mine")
            assert await app.response(reply.body[0]) == (0, {"entry": 43})
            path = (await _receive(app, '{"do":"raise","error":"NotFound"}', {})).body[0]
            code, results = await app.response(path)
            assert (code, results["error"]) == (2, "NotFound")
            for sealed, options in (("", {}), ("x" * (256 * 1024 + 1), {}), ("x", {"negotiate": YES})):
                assert (await _receive(app, sealed, options)).error_name == INVALID
        assert [call[0] for call in served.calls()] == ["receive", "receive"]

    asyncio.run(run())


def test_receipts_and_requests_share_an_apps_eight_places(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as flood, client(served.address) as tool:
            wait = '{"do":"wait"}'
            replies = await asyncio.gather(
                *(flood.present(wait) if turn % 2 else _receive(flood, wait, {}) for turn in range(200))
            )
            assert sum(reply.error_name is None for reply in replies) == 8
            assert {reply.error_name for reply in replies} == {None, "org.ownerd.Error.Busy"}
            assert (await _end(flood, "n-1")).error_name == NOT_FOUND, "giving up needs no place"
            assert (await tool.owner("Agent", "Status")).error_name is None

    asyncio.run(run())


def test_the_owner_narrows_and_grants_from_elsewhere(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as tool:
            limits = {"grant_days": 30, "grant_count": 100, "grant_per_hour": 20}
            options = {key: Variant("u", value) for key, value in {**limits, "retention_days": 30}.items()}
            reply = await tool.owner("Requests", "Approve", "sa{sv}", "7", options)
            assert reply.message_type is MessageType.METHOD_RETURN, reply.body
            assert await served.wait_call("approve") == ["approve", "7", None, [], 30, [30, 100, 20]]
            for odd in (
                {**options, "grant_days": Variant("u", 31)},
                {**options, "grant_count": Variant("t", 100)},
                {key: value for key, value in options.items() if key != "grant_per_hour"},
            ):
                reply = await tool.owner("Requests", "Approve", "sa{sv}", "7", odd)
                assert reply.error_name == INVALID
        assert len(served.calls()) == 1

    asyncio.run(run())


def test_the_owner_holds_back_derived_claims_and_the_whole_address(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as tool:
            names = ["age_over_18", "address", "email"]
            reply = await tool.owner(
                "Requests", "Approve", "sa{sv}", "7", {"without": Variant("as", [*names, "email"])}
            )
            assert reply.message_type is MessageType.METHOD_RETURN, reply.body
            assert await served.wait_call("approve") == ["approve", "7", None, sorted(names)]
            for odd in (["age_over_19"], ["address."], ["address.*"], [""], ["email"] * 1000):
                reply = await tool.owner(
                    "Requests", "Approve", "sa{sv}", "7", {"without": Variant("as", odd)}
                )
                assert reply.error_name == INVALID, odd
        assert len(served.calls()) == 1

    asyncio.run(run())


def test_how_a_request_ended_is_told(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as tool:
            reply = await tool.owner("Requests", "Outcome", "s", "7")
            assert (reply.signature, reply.body) == ("s", ["Dismissed"])
            assert (await tool.owner("Requests", "Outcome", "s", "8")).error_name == NOT_FOUND
            assert (await tool.owner("Requests", "Outcome", "s", "7\n")).error_name == INVALID

    asyncio.run(run())


def test_an_app_is_refused_for_today(served: Served) -> None:
    async def run() -> None:
        async with client(served.address) as tool:
            reply = await tool.owner("Requests", "RefuseToday", "s", "7")
            assert reply.message_type is MessageType.METHOD_RETURN
            assert served.calls() == [["refuse", "7", "today"]]
            assert (await tool.owner("Requests", "RefuseToday", "s", "8")).error_name == NOT_FOUND
            assert (await tool.owner("Requests", "RefuseToday", "s", "7\n")).error_name == INVALID
            bug = await tool.owner("Requests", "RefuseToday", "s", "bug")
            assert bug.error_name == "org.ownerd.Error.InternalError"
            assert "PIN" not in str(bug.body)

    asyncio.run(run())
