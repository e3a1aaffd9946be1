"""``ownerctl ledger export`` against the real daemon and the software token: one touch for each export, in every form."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.rigs.system import World


def test_a_day_is_exported_in_every_form_with_a_touch_each(world: World) -> None:
    world.set_up()
    world.set("email", "=ada@example.org")
    world.make_shop()
    asked = world.ask(claims="email")
    while not (rows := world.tool_json("pending")["requests"]):
        pass
    tool = world.stage.tool("approve", rows[0]["id"])
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    assert asked.wait(30) == 0

    size = world.verify()["entries"]
    made: dict[str, Path] = {}
    for count, form in enumerate(("json", "csv", "consent", "ts10")):
        made[form] = Path(world.stage.home) / f"export.{form}"
        tool = world.stage.tool("ledger", "export", "--format", form, "--out", str(made[form]))
        assert f"Which: 0 to {size + count - 1}" in world.approve(tool)
        assert tool.wait() == 0, tool.text
        assert made[form].stat().st_mode & 0o777 == 0o600
    assert world.verify()["entries"] == size + 4, "one entry for each export, none for its pages"

    entries = json.loads(made["json"].read_text())["entries"]
    assert [one["seq"] for one in entries] == list(range(size))
    disclosure = next(one for one in entries if one["kind"] == "disclosure")
    assert disclosure["values"]["claim/0"]["value"] == "=ada@example.org"
    with made["csv"].open(newline="", encoding="utf-8") as file:
        (row,) = (one for one in csv.DictReader(file) if one["kind"] == "disclosure")
    assert (row["value"], row["provider"]) == ("'=ada@example.org", "bookshop.example")
    (record,) = json.loads(made["consent"].read_text())["dpv:hasRecordOfActivity"]
    assert record["dpv:hasEntity"][0]["dpv:hasName"] == "bookshop.example"
    assert record["dpv:hasDataSubject"].startswith("did:jwk:")
    # The shop ends with its answer: whether the bus had handed that over first is not always known.
    assert record["ownerd:delivered"] in (True, False)
    (shared,) = json.loads(made["ts10"].read_text())["transactionLogObject"]
    assert shared["presentation"]["listOfClaimsPresented"][0]["claims"] == ["email"]
    assert "ada@" not in made["consent"].read_text() + made["ts10"].read_text()

    tool = world.stage.tool("ledger", "export", "--format", "json", "--offline")
    assert tool.wait() == 0
    assert "ada@" not in tool.text
