"""Who is at the other end: nobody, somebody else, or the daemon."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.rigs.bus import PrivateBus
from tests.rigs.cli import Desk

from ownerctl.client import Client
from ownerctl.errors import AgentGone
from ownerd.credential.jwe import new_key, public_jwk
from ownerd.dbuslib import Message, Variant, connect_bus
from ownerd.model import names


def test_without_a_daemon_the_hint_says_how_to_start_it(bare_desk: Desk) -> None:
    ran = bare_desk.run("status")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "ownerctl: error: ownerd is not running and cannot be activated",
        "ownerctl: hint: systemctl --user start ownerd, or run ownerd in another terminal",
    ]


def test_a_call_activates_the_daemon_and_a_lock_does_not(bare_desk: Desk, private_bus: PrivateBus) -> None:
    marker = bare_desk.home / "activated"
    program = bare_desk.home / "ownerd"
    program.write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
    program.chmod(0o755)
    (private_bus.services / "org.ownerd.Agent1.service").write_text(
        f"[D-BUS Service]\nName=org.ownerd.Agent1\nExec={program}\n"
    )
    assert bare_desk.run("lock").out == "locked already, ownerd is not running\n"
    assert not marker.exists()
    assert bare_desk.run("status").code == 1
    assert marker.exists()


def test_without_a_bus_it_says_so(bare_desk: Desk) -> None:
    ran = bare_desk.run("status", DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("ownerctl: error: there is no session bus\n")


@pytest.mark.parametrize("library", ["dbus-next", "dbus-fast"])
def test_both_libraries_serve(cli_desk: Desk, library: str) -> None:
    ran = cli_desk.run("data", "get", "email", OWNERD_DBUS_LIBRARY=library)
    assert (ran.code, ran.out, ran.err) == (0, "ada@example.org\n", "")


def test_values_are_sealed_only_to_the_key_in_the_runtime_directory(bare_desk: Desk) -> None:
    bare_desk.plan(session_key=json.dumps(public_jwk(new_key())))
    bare_desk.start_agent()
    assert bare_desk.agent is not None
    try:
        ran = bare_desk.run("data", "set", "nickname", "-", stdin="Countess")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.splitlines() == [
            "ownerctl: error: the session key on the bus is not the one in the runtime directory",
            f"ownerctl: hint: process {bare_desk.agent.pid} holds the name on the bus; end it, then start ownerd",
        ]
        assert bare_desk.called("change message") == []
    finally:
        bare_desk.stop_agent()


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_session_key_that_others_can_write_is_refused(bare_desk: Desk, mode: int) -> None:
    bare_desk.plan(session_key_mode=mode)
    bare_desk.start_agent()
    try:
        ran = bare_desk.run("data", "list")
        assert (ran.code, ran.out) == (1, "")
        assert "writable for others" in ran.err
    finally:
        bare_desk.stop_agent()


def test_a_session_key_behind_a_link_is_refused(cli_desk: Desk) -> None:
    path = cli_desk.home / "run" / "ownerd" / "session-key.json"
    path.rename(cli_desk.home / "elsewhere")
    path.symlink_to(cli_desk.home / "elsewhere")
    ran = cli_desk.run("data", "list")
    assert (ran.code, ran.out) == (1, "")
    assert "cannot be opened as a plain file" in ran.err


class _Silent:
    """Takes progress and keeps it."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def show(self, state: str, details: object) -> None:
        self.states.append(state)


def test_signals_of_another_process_do_not_count(cli_desk: Desk, tmp_path: Path) -> None:
    """Anybody may send a Response to our handle; only the daemon's connection is believed."""
    cli_desk.plan(unlock={"do": "wait", "seconds": 1.0})

    async def attack() -> tuple[dict[str, object], list[str]]:
        ours, theirs = await connect_bus(cli_desk.address), await connect_bus(cli_desk.address)
        client, observer = Client(ours), _Silent()
        await client.owner()
        asked = asyncio.create_task(client.owner_ask("Agent", "Unlock", (), {}, observer))
        while client._asking is None or not cli_desk.called("unlock"):
            await asyncio.sleep(0.02)
        for member, signature, body in (
            ("Progress", "sa{sv}", ["waiting-for-touch", {}]),
            ("Response", "ua{sv}", [0, {"forged": Variant("s", "yes")}]),
        ):
            forged = Message.new_signal(
                client._asking.handle, names.REQUEST_INTERFACE, member, signature, body
            )
            forged.destination = ours.unique_name
            await theirs.send(forged)
        results = await asyncio.wait_for(asked, 10)
        ours.disconnect()
        theirs.disconnect()
        return results, observer.states

    assert asyncio.run(attack()) == ({}, [])


def test_a_new_owner_of_the_name_does_not_inherit_our_call(cli_desk: Desk) -> None:
    cli_desk.plan(unlock={"do": "wait"})

    async def lose() -> None:
        bus = await connect_bus(cli_desk.address)
        client = Client(bus)
        asked = asyncio.create_task(client.owner_ask("Agent", "Unlock", (), {}, _Silent()))
        while not cli_desk.called("unlock"):
            await asyncio.sleep(0.02)
        assert cli_desk.agent is not None
        cli_desk.agent.kill()
        try:
            await asyncio.wait_for(asked, 10)
        finally:
            bus.disconnect()

    with pytest.raises(AgentGone):
        asyncio.run(lose())
