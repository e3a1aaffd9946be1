"""Attack: a monitor on the bus listens while the owner's tool handles policy, grants and receipts."""

from __future__ import annotations

import subprocess
import time

from tests.rigs.bus import require_rig
from tests.rigs.cli import Desk

SECRETS = ("policy-canary-1", "policy-canary-2", "receipt-canary-3", "shop-canary.example", "request-canary")


def test_a_monitor_reads_no_word_of_policy_grant_or_receipt(cli_desk: Desk) -> None:
    require_rig("dbus-monitor")
    heard = cli_desk.home / "heard"
    with heard.open("wb") as file:
        monitor = subprocess.Popen(["dbus-monitor", "--address", cli_desk.address, "--binary"], stdout=file)
    while b"NameLost" not in heard.read_bytes():
        time.sleep(0.02)
    grant = {"id": "9", "name": SECRETS[3], "claims": ["email"]}
    cli_desk.plan(policy=f"# {SECRETS[0]}\n", grants=[grant], explained={"decisions": []})
    assert SECRETS[0] in cli_desk.run("policy", "show").out
    assert cli_desk.run("policy", "import", "-", stdin=f"# {SECRETS[1]}\n").code == 0
    assert cli_desk.run("receipt", "4", "-", stdin=SECRETS[2]).code == 0
    assert SECRETS[3] in cli_desk.run("grant", "list").out
    assert cli_desk.run("policy", "explain", "-", stdin=SECRETS[4]).code == 0
    while heard.read_bytes().count(b"Response") < 5:
        time.sleep(0.02)
    monitor.terminate()
    monitor.wait(10)
    wire = heard.read_bytes()
    assert {word for word in (b"Read", b"Change", b"Receive", b"sealed") if word in wire} == {
        b"Read", b"Change", b"Receive", b"sealed",
    }  # fmt: skip
    for secret in SECRETS:
        assert secret.encode() not in wire, secret
    noted = (cli_desk.home / "calls").read_text()
    assert all(secret in noted for secret in SECRETS[1:3]), "and yet the daemon has it"
