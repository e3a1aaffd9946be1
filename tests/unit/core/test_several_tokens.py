"""Provider keys are built for several tokens: transfer to an absent one, re-wrap at its first use."""

import asyncio

import pytest
from tests.rigs.core import APP, CoreRig, FakeToken, make_core, set_up
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core import keyslot as keyslots
from ownerd.core.seal import place, unwrap
from ownerd.model.errors import VaultDamaged
from ownerd.model.names import Kind
from ownerd.model.secret import Secret

CLAIMS = {"given_name": "Ada", "email": "ada@example.org", "address__locality": "Wien"}


async def two_tokens(provider_rig: ProviderRig) -> CoreRig:
    """A vault with a second keyslot, as enrolment of another token will write it."""
    rig = make_core(FakeStore(), FakeToken("A"), FakeToken("B"), anchors=provider_rig.anchors)
    await set_up(rig, **CLAIMS)
    session, second = rig.session, rig.tokens.tokens[1]
    handles = keyslots.new_handles(second.credential, session.rng)
    draft = session.journal.draft(Kind.OWNER_CHANGE, {})

    class Quiet:
        def touch_needed(self, *_: object) -> None: ...

    answer = await rig.tokens.approve(second.credential, draft.challenge, handles, ui=Quiet())
    first = next(iter(session.vault.keyslots.values()))
    unlocked = await rig.tokens.approve(first.credential, draft.challenge, [first.slot.handle], ui=Quiet())
    vault_key = keyslots.open_vault_key(first, unlocked.secrets[0])
    slot = keyslots.make_keyslot(
        second.credential, handles, answer.secrets, vault_key, 1, session.rng, since=2
    )
    put = [keyslots.format_keyslot(slot)]
    await session.journal.append(draft, approval=unlocked.approval, put=put)
    session.vault.apply(put, ())
    second.asked.clear()
    return rig


def test_a_provider_made_with_one_token_is_opened_by_the_other_and_re_wrapped(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await two_tokens(provider_rig)
        first, second = rig.tokens.tokens
        second.plugged = False
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        vault = rig.session.vault
        waiting = next(copy for copy in vault.copies.values() if copy.token_id == second.credential.id)
        assert waiting.handle is None
        first.plugged, second.plugged = False, True
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        transfer = vault.keyslots[second.credential.id].transfer.handle.salt
        assert [len(salts) for salts in second.asked] == [2]
        assert second.asked[0][0] == transfer
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert [len(salts) for salts in second.asked] == [2, 1], "from now on one provider's key alone"
        assert transfer not in second.asked[1]
        (provider,) = vault.providers.values()
        assert provider.disclosures == 3

    asyncio.run(story())


def test_either_token_opens_the_vault(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await two_tokens(provider_rig)
        rig.agent.lock("test")
        await rig.agent._ending
        rig.store.closed = False
        again = make_core(rig.store, *rig.tokens.tokens, anchors=provider_rig.anchors)
        rig.tokens.tokens[0].plugged = False
        await again.agent.start()
        await again.agent.unlock(APP, again.job())
        assert again.agent.status().claims == 3

    asyncio.run(story())


def test_a_transfer_copy_opens_with_its_own_place_alone(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await two_tokens(provider_rig)
        rig.tokens.tokens[1].plugged = False
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        copy = next(one for one in rig.session.vault.copies.values() if one.handle is None)
        with pytest.raises(VaultDamaged):
            unwrap(Secret(b"\1" * 32), copy.inner, place("provider-key", "other", copy.token_id, "transfer"))

    asyncio.run(story())
