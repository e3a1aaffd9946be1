"""Invariant 10: the daemon is killed at many instants of a disclosure; each time all is well afterwards."""

import json
import time

from demo.stage import touch
from tests.rigs.system import World

# Seconds after the touch: before, inside and after signing, the commit and the delivery. `test_kill` has many more; here
# all that takes part is as in life, the tools and their terminals too.
INSTANTS = (0.0, 0.01, 0.03)


def test_a_killed_daemon_leaves_a_ledger_that_verifies_and_a_vault_that_opens(world: World):
    world.set_up()
    world.set("given_name", "Ada")
    world.make_shop()
    released = 0
    for instant in INSTANTS:
        terminal = world.stage.tool("watch", "--names-only")
        app = world.ask(claims="given_name")
        terminal.wait_for(r"\[ar\]\? ")
        terminal.type("a\n")
        touch(world.token)
        time.sleep(instant)
        world.daemon.process.kill()
        world.daemon.wait()
        app.wait(20)
        out, _ = app.communicate()
        terminal.end()
        report = world.verify()
        if app.returncode == 0:
            released += 1
            assert json.loads(out)["entry"] < report["entries"], "released without an entry"
        world.daemon = world.stage.start_daemon()
        world.unlock()
    final = world.tool_json("status")
    assert final["unlocked"]
    assert final["claims"] == 1
    assert world.verify()["entries"] >= 3 + released + len(INSTANTS)
