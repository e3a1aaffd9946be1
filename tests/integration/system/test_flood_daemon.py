"""Ten thousand requests over a hundred connections: the owner's own next request is served at once all the same."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.rigs.bus import ROOT
from tests.rigs.system import World

CALLS, CONNECTIONS = 10_000, 100


def resident(pid: int) -> int:
    """MiB of resident memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024


def test_the_owner_is_served_under_a_flood_of_ten_thousand_requests(world: World) -> None:
    world.set_up()
    world.set("given_name", "Ada")
    before = resident(world.daemon.process.pid)
    flood = subprocess.Popen(
        [sys.executable, "-m", "tests.rigs._flood", str(CALLS), str(CONNECTIONS), "stranger.example"],
        cwd=ROOT,
        env=world.stage.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert flood.stdout is not None
        assert flood.stdout.readline() == "flooding\n"
        time.sleep(1)
        started = time.monotonic()
        tool = world.stage.tool("data", "get", "given_name")
        world.approve(tool)
        served = time.monotonic() - started
        assert tool.wait() == 0, tool.text
        assert "Ada" in tool.text
        answers = json.loads(flood.stdout.readline())
        assert sum(answers.values()) == CALLS
        # What is opened before its connection is full gets Busy in its Response, by the app's budget.
        assert answers["Busy"] + answers["opened"] == CALLS
        assert answers["Busy"] > CALLS / 2
        assert served < 5, f"the owner waited {served:.1f} s"
        assert resident(world.daemon.process.pid) < before + 64
    finally:
        flood.kill()
        flood.wait()
    report = world.verify()
    assert report["entries"] < 200, "a flood is counted and not written"
