"""Row 3: the disclosure of row 2 over a real private bus, under each D-Bus library.

Three processes, as in life: dbus-daemon, the daemon's bus service with a token that answers at once
(`bench.bus_daemon`), and the app (`bench.bus_client`), which measures.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from demo.stage import Stage

from bench.measure import Row, Scale, note
from ownerd.dbuslib import LIBRARY_VARIABLE

ROOT: Final = Path(__file__).parents[1]
LIBRARIES: Final = ("dbus-next", "dbus-fast")
AGAINST: Final = "one bus round trip and the floor of row disclosure-known"


def rows(scale: Scale) -> Iterator[Row]:
    """One row a library; one that is not installed is left out."""
    for library in LIBRARIES:
        if importlib.util.find_spec(library.replace("-", "_")) is None:
            note(f"{library} is not installed")
            continue
        with Stage() as stage:
            stage.start_bus()
            done = subprocess.run(
                [sys.executable, "-m", "bench.bus_client", str(stage.home), str(scale.rounds(60))],
                cwd=ROOT,
                env={**stage.env, LIBRARY_VARIABLE: library},
                stdout=subprocess.PIPE,
                check=True,
            )
        found = json.loads(done.stdout)
        floor = found["round-trip"] + found["floor"]
        name = f"bus-{library.removeprefix('dbus-')}"
        yield Row(name, f"the same over the bus with {library}", AGAINST, found["ours"], floor, more=found)
