"""One contract for every way into a vault: it opens what it set up, proves itself in the ledger, and no more.

The tokens among them have a finer one, test_token_port.py; the recovery code is no `TokenPort` and has this alone.
"""

from __future__ import annotations

import asyncio
import json
import time

from demo import provider_kit as kit
from tests.rigs.core import APP, TTY, CoreRig, kinds, make_core, seal, verify
from tests.rigs.core import TOOL as TOOL_KEY
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore
from tests.rigs.ways import Way
from tests.unit.core.test_recovery import Paper, recover

from ownerd.credential.jwe import open_jwe
from ownerd.model.secret import Secret

# Long and with spaces, so that no random base64url holds them by chance.
CLAIMS = {"given_name": "Ada Augusta", "email": "ada@example.org", "address.locality": "Wien Mitte"}


async def start(way: Way, store: FakeStore, provider: ProviderRig) -> CoreRig:
    """One start of the daemon."""
    store.closed = False
    rig = make_core(store, anchors=provider.anchors, port=way.tokens())
    rig.clock.time = time.time_ns() // 1_000_000
    await rig.agent.start()

    async def typed(*_: object, **__: object) -> Secret:
        return Secret(way.pin)

    rig.owner.pin = typed
    return rig


async def set_up(way: Way, rig: CoreRig, paper: Paper | None) -> str:
    """Make a vault with some claims; returns the log's verifier key."""
    token = (await rig.agent.tokens())[0].id
    answer = await rig.agent.setup(APP, seal(rig, token=token, user_verification=way.with_pin), rig.job(TTY))
    claims = [{"name": name, "value": value, "source": "test"} for name, value in CLAIMS.items()]
    await rig.agent.change(APP, seal(rig, change="set", claims=claims), rig.job(TTY))
    if paper is not None:
        await rig.agent.change(APP, seal(rig, change="recovery-set"), rig.job(TTY))
    return str(json.loads(open_jwe(answer, TOOL_KEY))["verifier_key"])


async def end(rig: CoreRig) -> None:
    rig.agent.lock("test")
    await rig.agent._ending


async def open_again(way: Way, store: FakeStore, provider: ProviderRig, code: str) -> CoreRig:
    """Open the vault of an earlier start by this way."""
    rig = await start(way, store, provider)
    if way.recovery:
        Paper(rig).code = code
        rig.session.tokens.tokens[0].plugged = False
        await recover(rig, "B")
        await rig.agent._ending
        assert rig.session.vault is None, "a recovery leaves nothing open"
        rig = await start(way, store, provider)
        rig.session.tokens.tokens[0].plugged = False
    await rig.agent.unlock(APP, rig.job(TTY))
    return rig


def did(response: str, provider: ProviderRig) -> str:
    (presentation,) = next(iter(kit._decrypt(response, provider.answer_key)["vp_token"].values()))
    return str(kit._decode(presentation.split(".")[1])["iss"])


def test_it_opens_the_vault_and_uses_the_same_provider_key_at_every_start(
    way: Way, provider_rig: ProviderRig
) -> None:
    async def story() -> None:
        store = FakeStore()
        rig = await start(way, store, provider_rig)
        paper = Paper(rig) if way.recovery else None
        verifier_key = await set_up(way, rig, paper)
        request = provider_rig.parameters()
        first = await rig.agent.present(APP, kit.signed_request(request, provider_rig.party), rig.job(TTY))
        disclosed = kit.verify_response(first.response, request, provider_rig.answer_key)
        assert disclosed.claims["email"] == "ada@example.org"
        await end(rig)

        rig = await open_again(way, store, provider_rig, paper.code if paper else "")
        assert rig.agent.status().claims == len(CLAIMS)
        again = await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        assert did(first.response, provider_rig) == did(again.response, provider_rig)
        report = verify(rig, verifier_key)
        assert report.origin.startswith("proven")
        assert report.approvals == sum(kind in NEEDS for kind in kinds(rig))

    asyncio.run(story())


NEEDS = {"token-enrolled", "recovery-set", "unlocked", "owner-change", "owner-read", "disclosure"}


def test_a_stolen_database_alone_opens_nothing(way: Way, provider_rig: ProviderRig) -> None:
    async def story() -> None:
        store = FakeStore()
        rig = await start(way, store, provider_rig)
        paper = Paper(rig) if way.recovery else None
        await set_up(way, rig, paper)
        root = rig.session.vault.root.reveal()
        await end(rig)
        everything = b"".join(record.sealed for record in store.vault.values())
        everything += b"".join(row.leaf + (row.ciphertext or b"") for row in store.entries)
        for secret in (root, *(value.encode() for value in CLAIMS.values())):
            assert secret not in everything
        if paper is not None:
            assert paper.code.replace("-", "").encode() not in everything

    asyncio.run(story())
