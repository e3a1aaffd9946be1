"""The whole core over PIV cards behind a real pcscd: an empty card that gets keys, and one that only signs."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from demo import provider_kit as kit
from tests.rigs._piv_applet import PIN, PivApplet
from tests.rigs.core import APP, TTY, CoreRig, kinds, make_core, seal, verify
from tests.rigs.core import TOOL as TOOL_KEY
from tests.rigs.piv import P256, PivRig, rsa_key
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.credential.jwe import open_jwe
from ownerd.model.errors import (
    Dismissed,
    KeysMissing,
    ManagementKeyWrong,
    NotAllowed,
    OwnerdError,
    TokenMissing,
    Unsupported,
)
from ownerd.model.secret import Secret

pytestmark = pytest.mark.in_pcsc_rig

CLAIMS = {"given_name": "Ada", "email": "ada@example.org", "address.locality": "Wien"}


@dataclass
class Person:
    """Types the card's PIN, and ``key`` where the management key is asked; refuses what holds ``refuses``."""

    key: bytes = b""
    refuses: str = "nothing"
    asked: list[str] = field(default_factory=list)

    async def pin(self, *_: Any, description: str, asks: str = "PIN", **__: Any) -> Secret:
        self.asked.append(description)
        assert ("Management key" in description) is (asks == "Key")
        return Secret(self.key if asks == "Key" else PIN)

    async def confirm(self, *_: Any, description: str, **__: Any) -> bool:
        self.asked.append(description)
        return self.refuses not in description


async def start(port: Any, store: FakeStore, provider: ProviderRig, person: Person) -> CoreRig:
    """One start of the daemon."""
    store.closed = False
    rig = make_core(store, anchors=provider.anchors, port=port)
    rig.clock.time = time.time_ns() // 1_000_000
    rig.owner.confirm = person.confirm
    rig.owner.pin = person.pin
    await rig.agent.start()
    return rig


async def end(rig: CoreRig) -> None:
    rig.agent.lock("test")
    await rig.agent._ending


async def set_up(rig: CoreRig, token: str, **more: object) -> dict[str, Any]:
    sealed = seal(rig, token=token, user_verification=True, **more)
    answer: dict[str, Any] = json.loads(open_jwe(await rig.agent.setup(APP, sealed, rig.job(TTY)), TOOL_KEY))
    return answer


async def change(rig: CoreRig, **members: object) -> dict[str, Any]:
    sealed = await rig.agent.change(APP, seal(rig, **members), rig.job(TTY))
    answer: dict[str, Any] = json.loads(open_jwe(sealed, TOOL_KEY))
    return answer


async def fill(rig: CoreRig) -> None:
    claims = [{"name": name, "value": value, "source": "test"} for name, value in CLAIMS.items()]
    await change(rig, change="set", claims=claims)


def state(rig: PivRig) -> tuple[dict[int, Any], dict[int, bytes]]:
    return dict(rig.applet.keys), dict(rig.applet.objects)


def management_commands(rig: PivRig) -> int:
    return sum(name == "879b" for name in rig.applet.names)


@pytest.mark.parametrize("curve", ["P-256", "P-384"])
def test_an_empty_card_gets_keys_opens_its_vault_again_and_discloses(
    piv_rigs: Any, provider_rig: ProviderRig, curve: str
) -> None:
    card = piv_rigs(PivApplet())
    card.applet.management = (0x0C, bytes(range(32)))  # 64 digits: more than any PIN has
    card.insert()

    async def story() -> None:
        store, person = FakeStore(), Person(key=bytes(range(32)).hex().encode())
        rig = await start(card.tokens(), store, provider_rig, person)
        (info,) = await rig.agent.tokens()
        with pytest.raises(KeysMissing) as missing:
            await set_up(rig, info.id)
        assert "--make-keys" in missing.value.hint
        assert management_commands(card) == 0

        made = await set_up(rig, info.id, make_keys=curve)
        assert "9C (signature) and 9D (key management) are replaced" in person.asked[0]
        assert "Management key" in person.asked[1]
        await fill(rig)
        await end(rig)

        # A new daemon: neither certificate nor memory, only what was enrolled.
        rig = await start(card.tokens(), store, provider_rig, person)
        await rig.agent.unlock(APP, rig.job(TTY))
        request = provider_rig.parameters()
        sent = await rig.agent.present(APP, kit.signed_request(request, provider_rig.party), rig.job(TTY))
        disclosed = kit.verify_response(sent.response, request, provider_rig.answer_key)
        assert disclosed.claims["email"] == CLAIMS["email"]
        verify(rig, made["verifier_key"])

    asyncio.run(story())


WRONG = {
    "wrong": bytes(24).hex().encode(),
    "of another size": bytes(16).hex().encode(),
    "not hex": b"g" * 48,
    "too short": b"00" * 12,
    "odd": b"0" * 47,
    "a PIN": PIN,
}


@pytest.mark.parametrize("typed", WRONG)
def test_a_wrong_management_key_is_named_and_changes_nothing(
    piv_rigs: Any, provider_rig: ProviderRig, typed: str
) -> None:
    card = piv_rigs(PivApplet(signing=rsa_key()))
    card.insert()

    async def story() -> None:
        store, person = FakeStore(), Person(key=WRONG[typed])
        rig = await start(card.tokens(), store, provider_rig, person)
        (info,) = await rig.agent.tokens()
        before = state(card)
        with pytest.raises(ManagementKeyWrong):
            await set_up(rig, info.id, make_keys="P-256")
        assert state(card) == before
        assert (management_commands(card) > 0) is (typed in ("wrong", "of another size"))
        assert not await store.exists()
        assert "It has usable keys with certificates now, in 9C: these are LOST" in person.asked[0]

    asyncio.run(story())


@pytest.mark.parametrize("curve", ["P-521", "", 256])
def test_a_curve_that_cards_do_not_have_is_refused_before_anybody_is_asked(
    piv_rigs: Any, provider_rig: ProviderRig, curve: object
) -> None:
    card = piv_rigs(PivApplet())
    card.insert()

    async def story() -> None:
        person = Person()
        rig = await start(card.tokens(), FakeStore(), provider_rig, person)
        (info,) = await rig.agent.tokens()
        with pytest.raises(OwnerdError, match="P-256 or P-384"):
            await set_up(rig, info.id, make_keys=curve)
        assert not person.asked

    asyncio.run(story())


def test_refusing_new_keys_changes_nothing_and_asks_for_no_management_key(
    piv_rigs: Any, provider_rig: ProviderRig
) -> None:
    card = piv_rigs()
    card.insert()

    async def story() -> None:
        person = Person(refuses="Make new keys", key=bytes(range(24)).hex().encode())
        rig = await start(card.tokens(), FakeStore(), provider_rig, person)
        (info,) = await rig.agent.tokens()
        before = state(card)
        with pytest.raises(Dismissed):
            await set_up(rig, info.id, make_keys="P-256")
        assert state(card) == before
        assert management_commands(card) == 0
        (only,) = person.asked
        assert "in 9C and 9D: these are LOST" in only

    asyncio.run(story())


def test_another_card_in_the_reader_meanwhile_gets_no_keys(piv_rigs: Any, provider_rig: ProviderRig) -> None:
    chosen, other = piv_rigs(PivApplet()), piv_rigs(PivApplet())
    chosen.insert()

    async def story() -> None:
        person = Person(key=bytes(range(24)).hex().encode())
        rig = await start(chosen.tokens(), FakeStore(), provider_rig, person)
        (info,) = await rig.agent.tokens()

        async def exchange(*given: Any, **more: Any) -> Secret:
            await asyncio.to_thread(chosen.remove)
            await asyncio.to_thread(other.insert)
            return await person.pin(*given, **more)

        rig.owner.pin = exchange
        with pytest.raises(TokenMissing, match="another card"):
            await set_up(rig, info.id, make_keys="P-256")
        assert (chosen.applet.keys, other.applet.keys) == ({}, {})
        assert management_commands(other) == 0

    asyncio.run(story())


def test_the_keys_of_an_enrolled_card_are_not_replaced(piv_rigs: Any, provider_rig: ProviderRig) -> None:
    card = piv_rigs()
    card.insert()

    async def story() -> None:
        person = Person(key=bytes(range(24)).hex().encode())
        rig = await start(card.tokens(), FakeStore(), provider_rig, person)
        (info,) = await rig.agent.tokens()
        await set_up(rig, info.id)
        before = state(card)
        with pytest.raises(NotAllowed, match="enrolled"):
            await change(
                rig, change="token-add", token=info.id, user_verification=True, name=None, make_keys="P-256"
            )
        assert state(card) == before

    asyncio.run(story())


def test_an_rsa_card_approves_what_needs_no_secret_and_opens_nothing(
    piv_rigs: Any, provider_rig: ProviderRig
) -> None:
    opener, signer = piv_rigs(curve=P256), piv_rigs(PivApplet(signing=rsa_key()), slot=1)
    signer.insert()

    async def story() -> None:
        store, person = FakeStore(), Person()
        rig = await start(opener.tokens(), store, provider_rig, person)
        (info,) = await rig.agent.tokens()
        with pytest.raises(Unsupported, match="only signs"):
            await set_up(rig, info.id)
        await asyncio.to_thread(opener.insert)
        (first_card,) = [one for one in await rig.agent.tokens() if one.id != info.id]
        made = await set_up(rig, first_card.id)
        await fill(rig)
        await change(rig, change="token-add", token=info.id, user_verification=True, name="office card")
        assert any("It is no way in" in text for text in person.asked)
        await asyncio.to_thread(opener.remove)

        await rig.agent.read(APP, seal(rig, what="claims", names=None), rig.job(TTY))
        first = await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        last = [json.loads(row.leaf)["approval"] for row in store.entries][-2:]
        assert [(one["type"], one["algorithm"]) for one in last] == [("piv", "RS256")] * 2
        with pytest.raises(TokenMissing, match="only signs"):
            await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        verify(rig, made["verifier_key"])
        await end(rig)

        rig = await start(opener.tokens(), store, provider_rig, person)
        with pytest.raises(TokenMissing):
            await rig.agent.unlock(APP, rig.job(TTY))
        await asyncio.to_thread(opener.insert)
        await rig.agent.unlock(APP, rig.job(TTY))
        again = await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        assert did(first.response, provider_rig) == did(again.response, provider_rig)
        assert kinds(rig)[-1] == "disclosure"
        verify(rig, made["verifier_key"])

    asyncio.run(story())


def did(response: str, provider: ProviderRig) -> str:
    (presentation,) = next(iter(kit._decrypt(response, provider.answer_key)["vp_token"].values()))
    return str(kit._decode(presentation.split(".")[1])["iss"])
