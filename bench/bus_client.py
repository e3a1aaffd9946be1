"""The app's side of the bus rows. ``python -m bench.bus_client HOME ROUNDS [grant]`` prints its medians in seconds as JSON.

The floor's commit is the one of a disclosure that an agent in this process made before; between two samples over the
bus the daemon has time to record the delivery of the first.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace
from tests.rigs.core import APP

from bench.disclosure import PRESENTATION_BYTES
from bench.floors import BareDatabase, BareSignatures
from bench.measure import medians, timed, timed_async
from bench.rig import Provider, allow_repeats, bench
from ownerctl.client import Client
from ownerd.core.ports import Batch
from ownerd.dbuslib import connect_bus

IN_FLIGHT = 4


class Silent:
    """An observer that looks away."""

    def show(self, state: str, details: Mapping[str, str | int], /) -> None:
        """Nothing."""


def measure(home: Path, rounds: int, *, repeats: bool) -> dict[str, float]:
    """Run the daemon's side and measure against it."""
    provider = Provider()
    ca = home / "bench-ca.pem"
    ca.write_bytes(provider.ca.certificate.public_bytes(Encoding.PEM))
    batch, serial = made_batch(provider, repeats=repeats), count()
    database, signatures = BareDatabase(home / "floor.db"), BareSignatures()
    daemon = subprocess.Popen(
        [sys.executable, "-m", "bench.bus_daemon", str(ca), *(["grant"] if repeats else [])],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == "ready\n", "the daemon's side does not start"
    try:
        with asyncio.Runner() as runner:
            client = runner.run(_connect())
            crypto = signatures.repeat if repeats else signatures.disclosure
            runner.run(client.present(provider.signed(), {}, Silent()))

            def ours() -> float:
                text = provider.signed()
                return runner.run(timed_async(lambda: client.present(text, {}, Silent())))

            def floor() -> float:
                rows = moved(batch, next(serial))
                return timed(lambda: (crypto(bytes(PRESENTATION_BYTES)), database.commit(rows)))

            def round_trip() -> float:
                return runner.run(timed_async(client.session_key))

            found = medians({"ours": ours, "floor": floor, "round-trip": round_trip}, rounds)
            if repeats:
                found["per second"] = runner.run(_throughput(provider, 4 * rounds))
            return found
    finally:
        database.close()
        daemon.terminate()
        daemon.wait(10)


async def _throughput(provider: Provider, rounds: int) -> float:
    """Disclosures a second, with as many clients as an app may have requests."""
    texts = [provider.signed() for _ in range(rounds)]
    clients = [await _connect() for _ in range(IN_FLIGHT)]

    async def work(client: Client) -> None:
        while texts:
            await client.present(texts.pop(), {}, Silent())

    return rounds / await timed_async(lambda: asyncio.gather(*map(work, clients)))


async def _connect() -> Client:
    client = Client(await connect_bus())
    await client.owner()
    return client


def made_batch(provider: Provider, *, repeats: bool) -> Batch:
    """What a disclosure to a known provider commits."""
    with bench(provider=provider) as made:
        if repeats:
            made.run(allow_repeats(made.core))
        for _ in range(2):
            made.run(made.core.agent.present(APP, provider.signed(), made.core.job()))
        return made.store.last


def moved(batch: Batch, seq: int) -> Batch:
    """The same rows under numbers that are not taken."""
    assert batch.checkpoint is not None
    entries = tuple(replace(row, seq=seq) for row in batch.entries)
    return replace(batch, entries=entries, checkpoint=(seq, batch.checkpoint[1]))


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), repeats="grant" in sys.argv[3:])))
