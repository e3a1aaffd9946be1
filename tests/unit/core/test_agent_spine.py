"""The spine on fakes: set-up, change, disclosure, lock, unlock; and the ledger that comes of it."""

import asyncio
import json

from demo import provider_kit as kit
from tests.rigs.core import APP, CoreRig, make_core
from tests.rigs.provider import ProviderRig, now_ms
from tests.rigs.stores import FakeStore

from ownerd.credential.jwe import new_key, open_jwe, public_jwk, seal_jwe
from ownerd.ledger.verify import verify_ledger

TOOL = new_key()


def seal(rig: CoreRig, **members: object) -> str:
    message = {"v": 1, "key": public_jwk(TOOL), **members}
    return seal_jwe(json.dumps(message).encode(), json.loads(rig.agent.session_key()))


async def set_up(rig: CoreRig, **claims: str) -> dict:
    await rig.agent.start()
    rig.clock.time = now_ms()
    answer = await rig.agent.setup(APP, seal(rig, token="A", user_verification=False), rig.job())
    if claims:
        given = [
            {"name": name.replace("__", "."), "value": value, "source": "test"}
            for name, value in claims.items()
        ]
        await rig.agent.change(APP, seal(rig, change="set", claims=given), rig.job())
    return json.loads(open_jwe(answer, TOOL))


def verify(rig: CoreRig, key: str | None = None):
    store = rig.store
    report = verify_ledger(
        [(row.seq, row.leaf) for row in store.entries],
        store.checkpoints,
        [(row.seq, row.ciphertext) for row in store.entries if row.ciphertext is not None],
        verifier_key=key,
        progress=None,
    )
    assert report.findings == ()
    return report


def kinds(rig: CoreRig) -> list[str]:
    return [json.loads(row.leaf)["core"]["kind"] for row in rig.store.entries]


def test_a_disclosure_is_shown_signed_recorded_and_verifies(provider: ProviderRig):
    async def story() -> None:
        rig = make_core(FakeStore(), anchors=provider.anchors)
        answer = await set_up(rig, given_name="Ada", email="ada@example.org", address__locality="Wien")
        request = provider.parameters()
        released = await rig.agent.present(APP, kit.signed_request(request, provider.party), rig.job())
        await rig.agent.delivered(released)
        disclosed = kit.verify_response(released.response, request, provider.answer_key)
        assert disclosed.claims == {
            "given_name": "Ada",
            "email": "ada@example.org",
            "address": {"locality": "Wien"},
        }
        assert "e-mail: ada@example.org" in rig.owner.shown[-1]
        assert kinds(rig) == ["genesis", "token-enrolled", "owner-change", "disclosure", "delivered"]
        assert verify(rig, answer["verifier_key"]).origin == "proven"

    asyncio.run(story())
