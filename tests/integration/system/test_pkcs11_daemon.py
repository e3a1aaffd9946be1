"""A PKCS#11 token through the real daemon and tool: set up, disclose, lock, unlock, list."""

from __future__ import annotations

import json

from demo.stage import Stage
from tests.rigs.softhsm import MODULE, SoftHsm
from tests.rigs.system import CardWorld


def test_a_pkcs11_token_opens_the_vault_and_discloses(softhsm: SoftHsm, stage: Stage) -> None:
    stage.env["SOFTHSM2_CONF"] = str(softhsm.conf)
    directory = stage.home / "config" / "ownerd"
    directory.mkdir(mode=0o700, parents=True)
    (directory / "config.toml").write_text(f'pkcs11_modules = ["{MODULE}"]\n')
    # Enrolling proves with the PIN that the keys work; then the new keyslot is opened.
    world = CardWorld(stage, b"2468ace", set_up_acts=2)
    made = world.set_up()
    world.set("given_name", "Ada")
    world.make_shop()
    terminal = world.lend()
    app = world.ask(claims="given_name")
    assert "given name: Ada" in world.approve(terminal)
    out, err = app.communicate(timeout=20)
    assert app.returncode == 0, err
    assert json.loads(out)["claims"] == {"given_name": "Ada"}

    assert stage.tool("lock").wait() == 0
    assert world.daemon.wait(10) == 0
    world.daemon = stage.start_daemon()
    assert not world.tool_json("status")["unlocked"]
    world.unlock()
    (row,) = world.tool_json("token", "list")["tokens"]
    (here,) = world.tool_json("token", "list")["present"]
    assert (row["type"], row["present_id"]) == ("pkcs11", here["id"])
    report = stage.tool("ledger", "verify", "--json", "--key", made["verifier_key"])
    assert report.wait() == 0, report.text
    assert world.json(report)["origin"] == "proven"
