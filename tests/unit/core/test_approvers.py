"""Tokens that only sign: they approve what needs no secret of a token, and are no way in."""

from __future__ import annotations

import asyncio
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from msgspec.structs import replace
from tests.rigs.core import APP, TTY, CoreRig, FakeToken, kinds, make_core, seal, set_up, verify
from tests.rigs.ledgers import rsa_key
from tests.rigs.provider import ProviderRig
from tests.rigs.stores import FakeStore
from tests.unit.core.test_enrolment import CLAIMS, add, change, did, read, restart
from tests.unit.core.test_recovery import Paper, recover

from ownerd.core import keyslot as keyslots
from ownerd.core.keyslot import Approver
from ownerd.ledger.approval import card_message
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import Dismissed, NotAllowed, TokenMissing, Unsupported, VaultDamaged
from ownerd.model.token import Approval, CardApproval, TokenCredential


class SigningCard(FakeToken):
    """A card with an RSA key and nothing else: it only signs."""

    @property
    def credential(self) -> TokenCredential:
        numbers = rsa_key().public_key().public_numbers()
        jwk = {"kty": "RSA", "n": format_b64u(numbers.n.to_bytes(256)), "e": "AQAB"}
        return replace(
            super().credential, type="piv", public_key=jwk, user_verification=True, aaguid="", software=False
        )

    def sign(self, challenge: bytes) -> Approval:
        made = rsa_key().sign(card_message(challenge), padding.PKCS1v15(), hashes.SHA256())
        return CardApproval(self.credential.id, "RS256", made, "piv")


async def make(provider_rig: ProviderRig, *more: FakeToken) -> CoreRig:
    """A vault that token A opens, and card S that only signs."""
    rig = make_core(FakeStore(), FakeToken("A"), SigningCard("S"), *more, anchors=provider_rig.anchors)
    rig.made = await set_up(rig, **CLAIMS)
    await change(rig, change="token-add", token="S", user_verification=True, name="office card")
    return rig


def unplug(rig: CoreRig, *names: str) -> None:
    for token in rig.tokens.tokens:
        token.plugged = token.name not in names


def approvals(rig: CoreRig) -> list[str]:
    leaves = [json.loads(row.leaf) for row in rig.store.entries]
    return [leaf["approval"]["type"] for leaf in leaves if leaf.get("approval")]


def test_it_is_enrolled_by_a_token_that_opens_once_the_owner_has_read_what_it_is(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        assert any("It is no way in" in text for text in rig.owner.shown)
        assert approvals(rig)[-1] == "fido2"
        listed = await read(rig, what="tokens")
        assert [(one["name"], one["opens"]) for one in listed["tokens"]] == [
            ("A", True),
            ("office card", False),
        ]
        assert rig.agent.status().tokens == 2
        again = await restart(rig, provider_rig)
        assert again.agent.status().tokens == 2
        verify(again, rig.made["verifier_key"])

    asyncio.run(story())


def test_refusing_what_it_is_enrols_nothing(provider_rig: ProviderRig):
    async def story() -> None:
        rig = make_core(FakeStore(), FakeToken("A"), SigningCard("S"), anchors=provider_rig.anchors)
        await set_up(rig)

        async def unless_it_only_signs(_terminal, *, description, **_: object) -> bool:
            return "only signs" not in description

        rig.owner.confirm = unless_it_only_signs
        with pytest.raises(Dismissed):
            await add(rig, "S")
        assert len(rig.session.vault.enrolled) == 1
        assert kinds(rig)[-1] == "refused"

    asyncio.run(story())


def test_alone_it_makes_no_vault_opens_none_and_recovers_none(provider_rig: ProviderRig):
    async def story() -> None:
        empty = make_core(FakeStore(), SigningCard("S"))
        await empty.agent.start()
        with pytest.raises(Unsupported, match="only signs"):
            await empty.agent.setup(APP, seal(empty, token="S", user_verification=True), empty.job(TTY))
        assert not await empty.store.exists()

        rig = await make(provider_rig)
        paper = Paper(rig)
        await change(rig, change="recovery-set")
        again = await restart(rig, provider_rig)
        unplug(again, "A")
        with pytest.raises(TokenMissing):
            await again.agent.unlock(APP, again.job(TTY))
        assert again.session.vault is None
        Paper(again).code = paper.code
        with pytest.raises(Unsupported, match="only signs"):
            await recover(again, "S")

    asyncio.run(story())


def test_it_approves_reads_changes_and_names(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        unplug(rig, "A")
        before = len(approvals(rig))
        assert (await read(rig, what="claims", names=["email"]))["claims"][0]["value"] == CLAIMS["email"]
        await change(rig, change="set", claims=[{"name": "nickname", "value": "A", "source": "test"}])
        card = rig.tokens.tokens[1].credential.id
        await change(rig, change="token-name", id=card, name="other card")
        assert await read(rig, what="token", id=card) == {"id": card, "opens": False}
        assert approvals(rig)[before:] == ["piv"] * 4
        assert rig.session.vault.approvers[card].credential.name == "other card"
        verify(rig, rig.made["verifier_key"])

    asyncio.run(story())


def test_it_approves_for_unsigned_askers_and_the_first_time(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, FakeToken("B"))
        await add(rig, "B")
        paper = Paper(rig)
        await change(rig, change="recovery-set")
        unplug(rig, "A", "B")
        await rig.agent.present(APP, provider_rig.unsigned(), rig.job(TTY))
        assert not rig.session.vault.copies
        first = await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        assert approvals(rig)[-2:] == ["piv", "piv"]
        vault = rig.session.vault
        holders = {copy.token_id for copy in vault.copies.values()}
        assert holders == {*vault.keyslots, "recovery"}
        assert all(copy.handle is None for copy in vault.copies.values())
        assert paper.code

        with pytest.raises(TokenMissing, match="only signs"):
            await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        assert kinds(rig)[-1] == "failed"
        for name in ("A", "B"):
            unplug(rig, *{"A", "B"} - {name})
            later = await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
            assert did(first, provider_rig) == did(later, provider_rig)
        verify(rig, rig.made["verifier_key"])

    asyncio.run(story())


def test_of_all_that_are_there_the_one_that_holds_the_providers_key_is_asked(provider_rig: ProviderRig):
    async def story() -> None:
        rig = make_core(
            FakeStore(), SigningCard("S"), FakeToken("B"), FakeToken("A"), anchors=provider_rig.anchors
        )
        await set_up(rig, **CLAIMS)
        card, second, first = rig.tokens.tokens
        unplug(rig, "B")
        await change(rig, change="token-add", token="S", user_verification=True, name=None)
        await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
        unplug(rig)
        await add(rig, "B")
        # B has no copy yet, S never has one; a start of the daemon reads them in the order of their ids.
        vault = rig.session.vault
        held = dict(vault.copies)
        for _ in range(2):
            vault.keyslots = dict(reversed(vault.keyslots.items()))
            vault.copies = dict(held)
            for token in (card, second, first):
                token.asked.clear()
            await rig.agent.present(APP, provider_rig.signed(), rig.job(TTY))
            assert [len(token.asked) for token in (card, second, first)] == [0, 0, 1]
        await read(rig, what="claims", names=None)
        assert not card.asked, "who opens goes first"

    asyncio.run(story())


def test_it_changes_no_way_in_and_never_counts_as_one(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, FakeToken("B"))
        first, card, _ = rig.tokens.tokens
        with pytest.raises(NotAllowed, match="last token that opens"):
            await change(rig, change="token-remove", id=first.credential.id)
        await add(rig, "B")
        unplug(rig, "A")
        rig.tokens.tokens[2].plugged = False
        for members in (
            {"change": "recovery-set"},
            {"change": "token-remove", "id": first.credential.id},
            {"change": "token-remove", "id": card.credential.id},
        ):
            with pytest.raises(TokenMissing):
                await change(rig, **members)

    asyncio.run(story())


def test_it_stays_through_a_rotation_and_leaves_without_one(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, FakeToken("B"))
        await add(rig, "B")
        first, card, _ = rig.tokens.tokens
        await change(rig, change="token-remove", id=first.credential.id)
        assert rig.session.vault.generation == 2
        again = await restart(rig, provider_rig)
        await again.agent.unlock(APP, again.job(TTY))
        unplug(again, "A", "B")
        await read(again, what="claims", names=None)
        unplug(again)
        answer = await change(again, change="token-remove", id=card.credential.id)
        assert again.owner.notified[-1] == ("key B", "remove a token that only signs"), "and no second touch"
        assert (answer["rotated"], "verifier_key" in answer) == (False, False)
        assert kinds(again)[-1] == "token-removed"
        assert not again.session.vault.approvers
        unplug(again, "A", "B")
        with pytest.raises(TokenMissing):
            await read(again, what="claims", names=None)
        verify(again, rig.made["verifier_key"])

    asyncio.run(story())


def test_its_record_is_sealed_and_half_a_keyslot_is_refused(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        card = rig.tokens.tokens[1].credential
        record = rig.store.vault[(keyslots.APPROVER, card.id)]
        assert b"office card" not in record.sealed
        written = keyslots.format_approver(Approver(card, 4))
        assert keyslots.parse_approver(card.id, written) == Approver(card, 4)
        full = json.loads(next(row.sealed for key, row in rig.store.vault.items() if key[0] == keyslots.KIND))
        for wrong in (
            {**written, "slot": full["slot"]},
            {**written, "vault_key": full["vault_key"]},
            {**written, "agreement_key": {"kty": "EC"}},
            {**written, "type": "fido2"},
            {**written, "type": "other"},
            {key: value for key, value in written.items() if key != "since"},
        ):
            with pytest.raises(VaultDamaged):
                keyslots.parse_approver(card.id, wrong)
        for missing in ("slot", "transfer", "vault_key"):
            half = {key: value for key, value in full.items() if key != missing}
            with pytest.raises(VaultDamaged):
                keyslots.parse_keyslot(keyslots.Record(keyslots.KIND, "x", 1, json.dumps(half).encode()))

    asyncio.run(story())


def test_it_is_not_enrolled_twice(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig)
        with pytest.raises(NotAllowed, match="already"):
            await add(rig, "S")

    asyncio.run(story())
