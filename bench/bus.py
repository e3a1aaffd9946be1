"""Disclosures over a real private bus, under each D-Bus library: with a touch, and under a grant.

Three processes, as in life: dbus-daemon, the daemon's bus service with a token that answers at once
(`bench.bus_daemon`), and the app (`bench.bus_client`), which measures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from demo.stage import Stage

from bench.libraries import wanted_libraries
from bench.measure import Row, Scale
from ownerd.dbuslib import LIBRARY_VARIABLE

ROOT: Final = Path(__file__).parents[1]
AGAINST: Final = "one bus round trip and the floor of row disclosure-known"
GRANT_AGAINST: Final = (
    "one bus round trip, 2 verifications, 1 ES256, 1 Ed25519, 1 HPKE, 1 JWE and one bare commit"
)


def rows(scale: Scale) -> Iterator[Row]:
    """One row a library; one that is not installed is left out."""
    for library in wanted_libraries(scale):
        short = library.removeprefix("dbus-")
        found = _measured(library, scale.rounds(60))
        floor = found["round-trip"] + found["floor"]
        what = f"the same over the bus with {library}"
        yield Row(f"bus-{short}", what, AGAINST, found["ours"], floor, more=found)
        found = _measured(library, scale.rounds(60), "grant")
        floor = found["round-trip"] + found["floor"]
        what = f"a repeat under a grant with {library}; {found['per second']:.0f} a second"
        yield Row(f"bus-grant-{short}", what, GRANT_AGAINST, found["ours"], floor, more=found)


def _measured(library: str, rounds: int, *mode: str) -> dict[str, float]:
    with Stage() as stage:
        stage.start_bus()
        done = subprocess.run(
            [sys.executable, "-m", "bench.bus_client", str(stage.home), str(rounds), *mode],
            cwd=ROOT,
            env={**stage.env, LIBRARY_VARIABLE: library},
            stdout=subprocess.PIPE,
            check=True,
        )
    return dict(json.loads(done.stdout))
