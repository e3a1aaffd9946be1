"""The whole product with real processes, under each D-Bus library: a disclosure, an unlock, memory.

Daemon, software token, pinentry and bus are what the owner runs (`bench.person`); the app is this process. An app may
ask twenty times a minute, so that there are few rounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Final

from tests.rigs.system import World

from bench.bus_client import Silent, made_batch, moved
from bench.cold import idle_imports
from bench.disclosure import PRESENTATION_BYTES
from bench.floors import BareDatabase, BareSignatures
from bench.libraries import wanted_libraries
from bench.measure import Row, Scale, medians, note, timed, timed_async
from bench.person import answer_at_once, lend_terminal, living_world, memory_bytes
from bench.rig import Provider
from ownerctl.client import Client
from ownerd.dbuslib import connect_bus

ROUNDS: Final = 12
UNLOCKS: Final = 7
AGAINST: Final = "one bus round trip, the bare signatures and ciphertexts, and one bare commit"
UNLOCK_AGAINST: Final = "one bus round trip, one ES256, one Ed25519 and one bare commit"
MEMORY_AGAINST: Final = "python that imports fido2, cryptography, a D-Bus library and sqlite_utils"


def rows(scale: Scale) -> Iterator[Row]:
    """Four rows a library; one that is not installed is left out, and so is memory where it is not ours to read."""
    for library in wanted_libraries(scale):
        short, provider = library.removeprefix("dbus-"), Provider()
        with living_world(library, provider) as world, asyncio.Runner() as runner:
            yield from _memory(world, short)
            world.unlock()
            lend_terminal(world)
            found = _disclosures(world, provider, runner, scale)
            what = f"three claims over the bus with {library}: real daemon, pinentry, software token, touched at once"
            floor = found["round-trip"] + found["floor"]
            yield Row(f"whole-{short}", what, AGAINST, found["ours"], floor, more=found)
        with living_world(library, provider) as world, asyncio.Runner() as runner:
            found = _unlocks(world, runner, scale)
            what = f"unlock over the bus with {library}: real daemon, software token, touched at once"
            floor = found["round-trip"] + found["floor"]
            yield Row(f"whole-unlock-{short}", what, UNLOCK_AGAINST, found["ours"], floor, more=found)


def _start_anew(world: World) -> None:
    world.stage.tool("lock").wait()
    world.daemon.wait()
    world.daemon = world.stage.start_daemon()


async def _connected(world: World) -> Client:
    client = Client(await connect_bus(world.stage.env["DBUS_SESSION_BUS_ADDRESS"]))
    await client.owner()
    return client


def _disclosures(world: World, provider: Provider, runner: asyncio.Runner, scale: Scale) -> dict[str, float]:
    client = runner.run(_connected(world))
    signatures, batch, serial = BareSignatures(), made_batch(provider, repeats=False), count()
    database = BareDatabase(world.stage.home / "floor.db")

    def ours() -> float:
        text = provider.signed()
        return runner.run(timed_async(lambda: client.present(text, {}, Silent())))

    def floor() -> float:
        bare = moved(batch, next(serial))
        return timed(lambda: (signatures.disclosure(bytes(PRESENTATION_BYTES)), database.commit(bare)))

    def round_trip() -> float:
        return runner.run(timed_async(client.session_key))

    try:
        return medians({"ours": ours, "floor": floor, "round-trip": round_trip}, scale.rounds(ROUNDS))
    finally:
        database.close()


def _unlocks(world: World, runner: asyncio.Runner, scale: Scale) -> dict[str, float]:
    answer_at_once(world.token, "Enter = touch", "\n")
    signatures, serial = BareSignatures(), count()
    database = BareDatabase(world.stage.home / "floor.db")
    batch = made_batch(Provider(), repeats=False)
    clients: list[Client] = []

    async def unlock(client: Client) -> None:
        await client.owner_ask("Agent", "Unlock", (), {}, Silent())

    def ours() -> float:
        _start_anew(world)
        clients.append(runner.run(_connected(world)))
        return runner.run(timed_async(lambda: unlock(clients[-1])))

    def floor() -> float:
        bare = moved(batch, next(serial))
        return timed(lambda: (signatures.unlock(), database.commit(bare)))

    def round_trip() -> float:
        return runner.run(timed_async(clients[-1].session_key))

    try:
        return medians(
            {"ours": ours, "floor": floor, "round-trip": round_trip}, scale.rounds(UNLOCKS), warm_up=1
        )
    finally:
        database.close()


def _memory(world: World, short: str) -> Iterator[Row]:
    """Unlocked first, as it comes out of the set-up; then a fresh one that has answered ``Status`` and is locked."""
    try:
        unlocked = memory_bytes(world.daemon.process.pid)
    except PermissionError:
        note("the daemon's memory is root's to read: no memory rows")
        _start_anew(world)
        return
    _start_anew(world)
    world.stage.tool("status").wait()
    locked, floor = memory_bytes(world.daemon.process.pid), idle_imports(world.stage)
    for name, what, ours in (
        (f"memory-locked-{short}", "locked, after it answered Status", locked),
        (f"memory-unlocked-{short}", "unlocked, after set-up and three changes", unlocked),
    ):
        yield Row(name, f"idle ownerd, {what}: proportional set size", MEMORY_AGAINST, ours, floor, "B")
