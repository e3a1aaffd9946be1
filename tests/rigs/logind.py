"""A stand-in for logind on a private "system" bus, and a daemon that finds it there. `tests.rigs._logind` is its process."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.rigs.system")

from demo.stage import Stage
from tests.rigs.bus import ROOT, PrivateBus
from tests.rigs.system import World


class Logind:
    """Handle of the stand-in's process."""

    def __init__(self, bus: PrivateBus, database: Path, *, by_pid: bool = True, hint: bool = False) -> None:
        arguments = [bus.address, str(database), "yes" if by_pid else "no", "yes" if hint else "no"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.rigs._logind", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for("ready")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))

    def wait_for(self, name: str, seconds: float = 15.0) -> dict[str, Any]:
        """The next event of that name; others before it are dropped."""
        deadline = time.monotonic() + seconds
        while True:
            event = self._next(max(0.0, deadline - time.monotonic()))
            if event["event"] == name:
                return event

    def _next(self, seconds: float) -> dict[str, Any]:
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError("the stand-in has nothing to tell") from None

    def wait_subscribed(self) -> dict[str, Any]:
        """Until a daemon has an inhibitor and knows its session and screen; how it asked for the inhibitor."""
        missing, inhibited = {"inhibited", "asked LockedHint"}, {}
        while missing:
            event = self._next(15.0)
            missing.discard(event["event"])
            if event["event"] == "inhibited":
                inhibited = event
        return inhibited

    def has(self, name: str) -> bool:
        """Whether an event of that name has come and was not taken yet; the rest is left alone."""
        return any(event["event"] == name for event in list(self._events.queue))

    def order(self, do: str, **rest: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **rest}) + "\n")
        self.process.stdin.flush()

    def before(self, member: str, value: bool = True) -> None:
        self.order("before", member=member, value=value)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(5)


@pytest.fixture
def logind(stage: Stage, private_bus: PrivateBus) -> Iterator[Logind]:
    """The stand-in, on a private bus in the part of the system bus."""
    stage.env["DBUS_SYSTEM_BUS_ADDRESS"] = private_bus.address
    made = Logind(private_bus, stage.database)
    yield made
    made.end()


@pytest.fixture
def open_world(logind: Logind, world: World) -> World:
    """The vault is set up and open, and the daemon has found logind."""
    logind.wait_subscribed()
    world.set_up()
    return world
