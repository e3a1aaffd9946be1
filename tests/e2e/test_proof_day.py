"""``ownerctl ledger prove --open`` with the real daemon, tool and token: one claim is shown, the others stay closed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.rigs.ledgers import small_ledger
from tests.rigs.system import World

from ownerd.model.encoding import parse_b64u

VALUES = {"given_name": "Adalind", "email": "ada@example.org", "address.locality": "Hintertupfing"}


@pytest.fixture
def disclosed(world: World) -> tuple[World, str, int]:
    """A bookshop was given three claims: the world, the log's verifier key, the entry."""
    key = world.set_up()["verifier_key"]
    for name, value in VALUES.items():
        world.set(name, value)
    world.make_shop()
    asked = world.ask()
    while not (rows := world.tool_json("pending")["requests"]):
        pass
    tool = world.stage.tool("approve", rows[0]["id"])
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    assert asked.wait(30) == 0
    entries = world.tool_json("ledger", "log", "--offline")["entries"]
    return world, key, next(one["seq"] for one in entries if one["kind"] == "disclosure")


def check(world: World, *arguments: str, code: int = 0) -> dict:
    tool = world.stage.tool("ledger", "check-proof", *arguments, "--json")
    assert tool.wait() == code, tool.text
    return World.json(tool)


def test_one_claim_of_a_disclosure_is_proven_and_the_others_stay_closed(disclosed):
    world, key, seq = disclosed
    size = world.verify()["entries"]
    bare, out = Path(world.stage.home) / "bare.json", Path(world.stage.home) / "proof.json"
    tool = world.stage.tool("ledger", "prove", str(seq), "--out", str(bare))
    assert tool.wait() == 0, tool.text
    labels = check(world, str(bare), "--key", key)["closed"]
    assert {"provider", "claim/0", "claim/1", "claim/2"} < set(labels)
    assert world.verify()["entries"] == size, "commitments alone ask nobody"

    tool = world.stage.tool("ledger", "prove", str(seq), "--open", "claim/1", "--out", str(out))
    prompt = world.approve(tool)
    assert tool.wait() == 0, tool.text
    assert "claim/1" in prompt
    assert VALUES["email"] not in prompt, "the prompt is for all to see"
    assert out.stat().st_mode & 0o777 == 0o600
    assert world.verify()["entries"] == size + 1, "opening is an entry of its own"

    said = check(world, str(out), "--key", key)
    assert (said["ok"], said["signed"], said["entry"], said["kind"]) == (True, True, seq, "disclosure")
    (opened,) = said["opened"].values()
    assert (opened["name"], opened["value"]) == ("email", VALUES["email"])
    assert said["closed"] == [one for one in labels if one != "claim/1"]
    assert not check(world, str(out))["signed"], "without a key nobody vouches"

    shown = everything(out.read_bytes())
    assert VALUES["email"].encode() in shown
    for closed in (VALUES["given_name"], VALUES["address.locality"], "bookshop", "ship and bill"):
        assert closed.encode() not in shown, closed
    lied(world, out, key)


def everything(proof: bytes) -> bytes:
    """The bytes of a proof file and of the leaf in it, where a value could hide behind base64."""
    return proof + parse_b64u(json.loads(proof)["leaf"])


def lied(world: World, out: Path, key: str) -> None:
    """Another value, another claim's label, another log's key: each is refused by name."""
    proof = out.read_bytes()
    false = Path(world.stage.home) / "false.json"
    for old, new in ((b"ada@example.org", b"eve@example.org"), (b'"claim/1"', b'"claim/0"')):
        assert proof.count(old) == 1
        false.write_bytes(proof.replace(old, new))
        assert check(world, str(false), "--key", key, code=5)["error"] == "Tampered"
        assert check(world, str(false), code=5)["error"] == "Tampered"
    other = small_ledger().verifier_key
    assert check(world, str(out), "--key", other, code=5)["error"] == "BadSignature"
