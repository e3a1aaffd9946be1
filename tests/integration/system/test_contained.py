"""The unit's directives leave the daemon and its pinentry all that they need: a whole story under them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from demo.stage import Stage
from tests.rigs.bus import ROOT, require_rig
from tests.rigs.system import World

UNIT = ROOT / "systemd" / "ownerd.service"
CONTAINED = [sys.executable, "-m", "tests.rigs._contained", str(UNIT)]
REFUSED = {
    "socket of the network": "import socket; socket.socket(socket.AF_INET)",
    "namespace": "import ctypes, os; os._exit(ctypes.CDLL(None).unshare(0x04000000) and 1)",
    "memory to write and execute": "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "privileged call": "import os; os.chroot('/')",
}


def test_a_whole_story_goes_on_under_the_units_directives(stage: Stage) -> None:
    require_rig("systemd-analyze")
    daemon = stage.run("ownerd", *CONTAINED, "ownerd")
    daemon.wait_for("ready, locked")
    world = World(stage, daemon, stage.start_token())
    world.set_up()
    world.set("given_name", "Ada")
    world.make_shop()
    terminal = world.lend()
    app = world.ask(claims="given_name")
    world.approve(terminal)
    out, err = app.communicate(timeout=20)
    assert app.returncode == 0, err
    assert "Ada" in out
    assert stage.tool("lock").wait() == 0
    assert daemon.wait() == 0
    world.verify()


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_what_the_unit_denies_is_denied(code: str) -> None:
    require_rig("systemd-analyze")
    free = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT)
    held = subprocess.run(
        [*CONTAINED, sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT
    )
    assert free.returncode == 0 or os.getuid() != 0
    assert held.returncode != 0
    assert b"Operation not permitted" in held.stderr or b"PermissionError" in held.stderr or "unshare" in code
