"""The daemon's side of row 3: the real bus service and store, a token that approves at once.

``python -m bench.bus_daemon CA [grant]`` with the bus in the environment: trusts the certificate in the file CA, says
``ready`` on standard output when it is set up and serves; ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate
from tests.rigs.core import make_core, set_up

from bench.rig import OWNER, allow_repeats, scratch, unlimited
from ownerd.bus.service import BusService
from ownerd.storage.store import SqliteStore


async def serve(ca: bytes, directory: Path, *, repeats: bool) -> None:
    """Serve until SIGTERM; with ``repeats`` the first disclosure makes a grant."""
    store = SqliteStore.open(directory / "data" / "ownerd.db")
    core = make_core(store, anchors=[load_pem_x509_certificate(ca)])
    unlimited(core)
    await set_up(core, **OWNER)
    if repeats:
        await allow_repeats(core)
    service = BusService(core.agent)
    await service.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    await service.stop()
    await store.close()


if __name__ == "__main__":
    with scratch() as made:
        asyncio.run(serve(Path(sys.argv[1]).read_bytes(), made, repeats="grant" in sys.argv[2:]))
