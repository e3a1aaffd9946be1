"""One provider, one connection, one owner: from a request over a bargain and a grant to its end, over the real bus.

Every credential is checked by `sd_jwt` and `jwcrypto`, which know nothing of ownerd; every step is in the ledger.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from demo import provider_kit as kit
from demo.stage import Screen, Stage
from tests.rigs.system import World

from ownerctl.client import Client
from ownerd.credential.jwe import seal_jwe
from ownerd.dbuslib import connect_bus

T = TypeVar("T")

HOST = "bookshop.example"
CLIENT_ID = f"x509_san_dns:{HOST}"
URI = f"https://{HOST}/answer"
POLICY = """version = 1

[alias]
mailbox = "ada@example.org"

[[rule]]
claims = ["birthdate"]
do = "substitute"
with = "age_over_18"

[[rule]]
provider = "bookshop.example"
claims = ["given_name"]
do = "grant"
days = 7
count = 10
per_hour = 10

[[terms]]
retention = "P30D"
recipients = []
"""


class Silent:
    """Looks away."""

    def show(self, state: str, details: Mapping[str, str | int], /) -> None:
        """Nothing."""


class Provider:
    """The app's side: one connection, requests that are each new, answers that are checked."""

    def __init__(self, party: kit.Party, client: Client) -> None:
        self.party, self.client, self.key = party, client, kit.new_encryption_key()

    def request(self, *claims: str, **more: Any) -> tuple[dict[str, Any], str]:
        asked = kit.parameters(CLIENT_ID, URI, claims, self.key, **more)
        return asked, kit.signed_request(asked, self.party)

    def ask(self, text: str, **options: Any) -> asyncio.Task[dict[str, Any]]:
        return asyncio.ensure_future(self.client.present(text, options, Silent()))

    def checked(self, asked: dict[str, Any], results: dict[str, Any]) -> kit.Disclosed:
        return kit.verify_response(results["response"], asked, self.key)

    async def hand_in(self, entry: int, receipt: str) -> int:
        key = json.loads(await self.client.session_key())
        message = json.dumps({"v": 1, "entry": entry, "receipt": receipt}).encode()
        results = await self.client.app_ask("Receive", seal_jwe(message, key), {}, Silent())
        return int(results["entry"])


async def provider_on(world: World) -> Provider:
    ca = kit.make_ca("Demo CA")
    party = kit.make_provider(ca, HOST)
    (world.stage.trust_directory / "shop.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    client = Client(await connect_bus(world.stage.env["DBUS_SESSION_BUS_ADDRESS"]))
    await client.owner()
    return Provider(party, client)


def approved(world: World, *arguments: str) -> str:
    tool = world.stage.tool(*arguments)
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    return tool.text


async def owner(act: Callable[..., T], *arguments: Any) -> T:
    """What the owner does at a terminal, while the provider's side goes on."""
    return await asyncio.to_thread(act, *arguments)


async def story(world: World, terminal: Screen) -> None:
    provider = await provider_on(world)
    # request, counter-offer
    terms = kit.terms(purpose=["dpv:ServiceProvision"], retention="P1Y", recipients=["Ads Ltd"])
    asked, text = provider.request("given_name", "birthdate", transaction_data=[terms])
    counter = await provider.ask(text, negotiate=True)
    offer = json.loads(counter["offer"])
    assert offer["credentials"][0]["claims"][1] == {"path": ["age_over_18"], "instead_of": ["birthdate"]}
    assert offer["terms"]["retention_days"] == 30

    # accepted, disclosure
    pending = provider.ask(text, negotiation=counter["negotiation"], accept=True)
    prompt = await owner(world.approve, terminal)
    assert "18 or older: true" in prompt
    assert "instead of date of birth" in prompt
    results = await pending
    disclosed = provider.checked(asked, results)
    assert disclosed.claims == {"given_name": "Ada", "age_over_18": True}
    assert disclosed.accepted == [], "terms that were not accepted are not signed"

    # signed acceptance of the owner's terms
    receipt = kit.receipt(provider.party, owner_terms=disclosed.owner_terms)
    await provider.hand_in(results["entry"], receipt)

    # a grant, and three silent repeats
    asked, text = provider.request("given_name")
    pending = provider.ask(text)
    assert "For 7 days they may get exactly this again" in await owner(world.approve, terminal)
    first = provider.checked(asked, await pending)
    assert first.repeats
    for _ in range(3):
        asked, text = provider.request("given_name")
        again = provider.checked(asked, await provider.ask(text))
        assert (again.did, again.claims) == (disclosed.did, {"given_name": "Ada"})

    # a value has changed: one touch renews the grant
    await owner(world.set, "given_name", "Augusta")
    asked, text = provider.request("given_name")
    pending = provider.ask(text)
    assert "Augusta" in await owner(world.approve, terminal)
    assert provider.checked(asked, await pending).claims == {"given_name": "Augusta"}

    # revoked: the next request is shown again, and refused
    rows = json.loads(await owner(world_json, world, "grant", "list"))["grants"]
    tool = world.stage.tool("grant", "revoke", rows[0]["id"])
    assert await owner(tool.wait) == 0, tool.text
    asked, text = provider.request("given_name")
    pending = provider.ask(text)
    await owner(terminal.wait_for, r"\[(\w)r\]\? ")
    terminal.type("r\n")
    with pytest.raises(Exception, match="refused"):
        await pending


@pytest.mark.parametrize("library", ["dbus-next", "dbus-fast"])
def test_a_provider_from_its_first_request_to_the_end_of_its_grant(stage: Stage, library: str) -> None:
    stage.env["OWNERD_DBUS_LIBRARY"] = library
    world = World(stage, stage.start_daemon(), stage.start_token())
    world.set_up()
    world.set("given_name", "Ada")
    world.set("birthdate", "1815-12-10")
    policy = Path(stage.home) / "policy.toml"
    policy.write_text(POLICY)
    approved(world, "policy", "import", str(policy))
    terminal = world.lend()
    asyncio.run(story(world, terminal))
    log = json.loads(world_json(world, "ledger", "log", "-n", "200"))
    kinds = [row["kind"] for row in log["entries"]]
    steps = [one for one in kinds if one not in {"owner-change", "owner-read", "delivered", "unlocked"}]
    assert steps == [
        "genesis",
        "token-enrolled",
        "offer",
        "disclosure",
        "receipt",
        "grant",
        *["disclosure"] * 4,
        "grant",
        "grant-ended",
        "disclosure",
        "grant-ended",
        "refused",
    ]
    assert kinds.count("delivered") == 6
    world.verify()


def world_json(world: World, *arguments: str) -> str:
    tool = world.stage.tool(*arguments, "--json")
    world.approve(tool)
    assert tool.wait() == 0, tool.text
    return json.dumps(world.json(tool))
