"""Lock and unlock: what waits, what fails by name, and what must hold before the vault opens."""

import asyncio
import json

import pytest
from demo import provider_kit as kit
from msgspec.structs import replace
from tests.rigs.core import APP, TTY, CoreRig, kinds, make_core, set_up, verify
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore

from ownerd.core.ports import Record
from ownerd.core.seal import new_pair
from ownerd.model.errors import (
    Cancelled,
    Dismissed,
    NotSetUp,
    OwnerdError,
    StorageError,
    Tampered,
    TokenMissing,
    VaultDamaged,
)

CLAIMS = {"given_name": "Ada", "email": "ada@example.org", "address__locality": "Wien"}


async def restart(rig: CoreRig, provider_rig: ProviderRig) -> CoreRig:
    """A new process on the same database and token."""
    rig.store.closed = False
    again = make_core(rig.store, *rig.tokens.tokens, anchors=provider_rig.anchors)
    again.clock.time = rig.clock.time
    await again.agent.start()
    return again


async def until(rig: CoreRig, state: str) -> None:
    async with asyncio.timeout(2):
        while not any(seen == state for seen, _ in rig.states):
            await asyncio.sleep(0)


async def locked_rig(provider_rig: ProviderRig) -> CoreRig:
    rig = make_core(FakeStore(), anchors=provider_rig.anchors)
    await set_up(rig, **CLAIMS)
    rig.agent.lock("test")
    await rig.agent._ending
    return await restart(rig, provider_rig)


def test_locking_ends_the_process_and_says_so_in_the_ledger(provider_rig: ProviderRig):
    async def story() -> None:
        rig = make_core(FakeStore(), anchors=provider_rig.anchors)
        await set_up(rig)
        rig.agent.lock("idle")
        rig.agent.lock("again")
        await rig.agent._ending
        assert rig.ended == [True]
        assert rig.session.vault is None
        assert rig.store.closed
        assert kinds(rig) == ["genesis", "token-enrolled", "locked"]
        assert json.loads(rig.store.entries[-1].leaf)["core"]["facts"] == {"reason": "idle"}

    asyncio.run(story())


def test_what_is_in_flight_fails_by_name_and_is_recorded(provider_rig: ProviderRig):
    async def story() -> None:
        rig = make_core(FakeStore(), anchors=provider_rig.anchors)
        await set_up(rig, **CLAIMS)
        rig.owner.decision = None
        rig.states.clear()
        call = asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))
        await until(rig, "waiting-for-owner")
        rig.agent.lock("suspend")
        with pytest.raises(Cancelled):
            await call
        await rig.agent._ending
        assert kinds(rig)[-2:] == ["failed", "locked"]
        with pytest.raises(Cancelled):
            await rig.agent.present(APP, provider_rig.signed(), rig.job())

    asyncio.run(story())


def test_a_request_waits_for_the_unlock_and_then_for_its_own_approval(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await locked_rig(provider_rig)
        assert not rig.agent.status().unlocked
        request = provider_rig.parameters()
        signed = kit.signed_request(request, provider_rig.party)
        call = asyncio.ensure_future(rig.agent.present(APP, signed, rig.job()))
        await until(rig, "waiting-for-unlock")
        assert not rig.owner.shown
        await rig.agent.unlock(APP, rig.job(TTY))
        released = await call
        assert kit.verify_response(released.response, request, provider_rig.answer_key)
        assert kinds(rig)[-3:] == ["locked", "unlocked", "disclosure"]
        verify(rig)

    asyncio.run(story())


def test_a_waiting_request_can_be_refused_while_locked(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await locked_rig(provider_rig)
        call = asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))
        await until(rig, "waiting-for-unlock")
        (pending,) = rig.agent.pending()
        assert (pending.app, pending.state) == ("bookshop", "waiting-for-unlock")
        assert rig.owner.notified[-1] == ("", "a request waits: run ownerctl unlock (present)")
        rig.agent.refuse(pending.id)
        with pytest.raises(Dismissed):
            await call
        assert kinds(rig)[-1] == "refused"
        assert rig.store.checkpoints[-1][0] == len(rig.store.entries) - 1, "written without the log key"
        await rig.agent.unlock(APP, rig.job(TTY))
        assert verify(rig).unsigned_tail == 0

    asyncio.run(story())


def test_nothing_opens_before_there_is_a_vault(provider_rig: ProviderRig):
    async def story() -> None:
        rig = make_core(FakeStore())
        await rig.agent.start()
        for call in (
            rig.agent.unlock(APP, rig.job()),
            rig.agent.present(APP, provider_rig.signed(), rig.job()),
        ):
            with pytest.raises(NotSetUp):
                await call

    asyncio.run(story())


def test_a_token_that_is_away_is_waited_for_and_then_named_missing(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await locked_rig(provider_rig)
        rig.tokens.tokens[0].plugged = False
        with pytest.raises(TokenMissing):
            await rig.agent.unlock(APP, rig.job(TTY))
        assert ("waiting-for-token", {"id": "1", "timeout_seconds": 0}) in rig.states or kinds(rig)[
            -1
        ] == "failed"
        rig.tokens.tokens[0].plugged = True
        await rig.agent.unlock(APP, rig.job(TTY))
        assert rig.agent.status().unlocked

    asyncio.run(story())


def swap_record(store: FakeStore) -> None:
    key = next(key for key in store.vault if key[0] == "claim")
    sealed = store.vault[key].sealed
    store.vault[key] = replace(store.vault[key], sealed=sealed[:-1] + bytes([sealed[-1] ^ 1]))


def drop_record(store: FakeStore) -> None:
    store.vault.pop(next(key for key in store.vault if key[0] == "claim"))


def add_record(store: FakeStore) -> None:
    store.vault["claim", "ff"] = Record("claim", "ff", 1, b"\0" * 40)


@pytest.mark.parametrize("damage", [swap_record, drop_record, add_record])
def test_a_vault_that_is_not_the_one_the_ledger_names_does_not_start(damage, provider_rig: ProviderRig):
    async def story() -> None:
        rig = await locked_rig(provider_rig)
        damage(rig.store)
        with pytest.raises(Tampered):
            await restart(rig, provider_rig)

    asyncio.run(story())


def drop_tail(store: FakeStore) -> None:
    # A roll-back that kept the checkpoint of what is gone.
    store.entries.pop()


def forge_checkpoint(store: FakeStore) -> None:
    size, note = store.checkpoints[-1]
    store.checkpoints[-1] = (size, note.replace(b"\n\n", b"\n\n", 1)[:-6] + b"AAAA=\n")


def no_checkpoint(store: FakeStore) -> None:
    store.checkpoints.clear()


@pytest.mark.parametrize("damage", [drop_tail, forge_checkpoint, no_checkpoint])
def test_a_ledger_that_its_checkpoint_does_not_sign_stays_closed(damage, provider_rig: ProviderRig):
    async def story() -> None:
        rig = await locked_rig(provider_rig)
        damage(rig.store)

        async def start_and_unlock() -> None:
            again = await restart(rig, provider_rig)
            await again.agent.unlock(APP, again.job(TTY))

        with pytest.raises(OwnerdError) as caught:
            await start_and_unlock()
        assert caught.value.exit_code == 5

    asyncio.run(story())


def test_an_unsigned_entry_of_a_kind_that_needs_the_vault_is_refused(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await locked_rig(provider_rig)
        # A thief of the file appends a second "unlocked" entry without the log key.
        rig.session.journal._log_key = None
        from ownerd.model.names import Kind

        await rig.session.journal.append(rig.session.journal.draft(Kind.ANCHORED, {}))
        with pytest.raises(Tampered):
            await rig.agent.unlock(APP, rig.job(TTY))

    asyncio.run(story())


def test_a_vault_key_of_another_slot_does_not_open_records(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await locked_rig(provider_rig)
        _, rig.tokens.tokens[0].secret = new_pair(lambda n: b"\1" * n)[0], b"\2" * 32
        with pytest.raises(OwnerdError) as caught:
            await rig.agent.unlock(APP, rig.job(TTY))
        assert caught.value.id == "WrongKey"
        assert not isinstance(caught.value, VaultDamaged)

    asyncio.run(story())


def test_a_caller_cancelled_during_the_commit_leaves_memory_and_disk_alike(provider_rig: ProviderRig):
    async def story() -> None:
        rig = make_core(FakeStore(), anchors=provider_rig.anchors)
        await set_up(rig, **CLAIMS)
        commit, began = rig.store.commit, asyncio.Event()

        async def slow(batch) -> None:
            began.set()
            await asyncio.sleep(0.01)
            await commit(batch)

        rig.store.commit = slow
        call = asyncio.ensure_future(rig.agent.present(APP, provider_rig.signed(), rig.job()))
        await began.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert len(rig.session.vault.providers) == 1, "committed, though nothing was released"
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert len(rig.session.vault.providers) == 1

    asyncio.run(story())


def test_an_unlock_whose_entry_is_not_durable_leaves_no_key_behind(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await locked_rig(provider_rig)
        rig.store.fail = StorageError("no space left")
        with pytest.raises(StorageError):
            await rig.agent.unlock(APP, rig.job(TTY))
        assert not rig.session.journal.has_keys
        assert not rig.agent.status().unlocked

    asyncio.run(story())
