"""The recovery code: its form, and that it opens everything and discloses nothing."""

import asyncio
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.core import APP, TTY, CoreRig, kinds, make_core, seal, verify
from tests.rigs.core import TOOL as TOOL_KEY
from tests.rigs.provider import ProviderRig
from tests.unit.core.test_enrolment import change, make, read, restart

from ownerd.core import recovery_code as codes
from ownerd.credential.jwe import open_jwe
from ownerd.model.errors import Dismissed, InvalidArgument, NotAllowed, NotFound
from ownerd.model.secret import Secret


class Paper:
    """What the owner writes down, and how it is typed back."""

    def __init__(self, rig: CoreRig) -> None:
        self.code = ""
        self.spoil = 0
        self.asked: list[str] = []
        self._owner = rig.owner
        rig.owner.pin = self.type

    async def type(self, terminal, *, description, timeout_seconds, asks) -> Secret:
        if "groups" not in description:
            return Secret(self.code.lower().replace("-", " ").encode())
        self.code = re.findall(r"(?:[0-9A-Z]{4}-){6}[0-9A-Z]{4}", "\n".join(self._owner.shown))[-1]
        first, second = (int(number) for number in re.findall(r"\d+", description))
        typed = self.code.split("-")[first - 1] + self.code.split("-")[second - 1]
        self.asked.append(description)
        if self.spoil:
            self.spoil -= 1
            if self.spoil == 1:
                raise InvalidArgument("a code has 4 to 63 bytes")  # as the prompt does for an empty line
            return Secret(b"WRONGONE")
        return Secret(typed.lower().encode())


async def recover(rig: CoreRig, token: str) -> dict:
    sealed = seal(rig, token=token, user_verification=False)
    return json.loads(open_jwe(await rig.agent.recover(APP, sealed, rig.job(TTY)), TOOL_KEY))


def test_the_code_opens_everything_for_a_new_token_and_leaves_nothing_open(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, "A", "B")
        paper = Paper(rig)
        await change(rig, change="recovery-set")
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        assert (await read(rig, what="tokens"))["recovery"] == {"since_entry": 3, "providers": 1, "of": 1}
        rig = await restart(rig, provider_rig)
        again, paper2 = rig, Paper(rig)
        paper2.code = paper.code
        rig.tokens.tokens[0].plugged = False  # lost
        answer = await recover(rig, "B")
        await rig.agent._ending
        assert rig.session.vault is None
        assert kinds(rig)[-3:] == ["unlocked", "token-enrolled", "locked"]
        approvals = [json.loads(row.leaf)["approval"] for row in rig.store.entries[-3:-1]]
        assert [one["type"] for one in approvals] == ["recovery", "recovery"]

        rig.store.closed = False
        again = make_core(rig.store, *rig.tokens.tokens, anchors=provider_rig.anchors)
        again.clock.time = rig.clock.time
        await again.agent.start()
        await again.agent.unlock(APP, again.job(TTY))
        assert answer["token"]["id"] in again.session.vault.keyslots
        await again.agent.present(APP, provider_rig.signed(), again.job())
        assert len(again.session.vault.providers) == 1, "the same provider, with its key"
        verify(again)

    asyncio.run(story())


def test_a_code_is_stored_only_after_it_was_typed_back(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, "A")
        paper = Paper(rig)
        paper.spoil = 3
        with pytest.raises(Dismissed):
            await change(rig, change="recovery-set")
        assert rig.session.vault.recovery is None
        assert "recovery-set" not in kinds(rig)
        paper.spoil = 2
        paper.asked.clear()
        await change(rig, change="recovery-set")
        assert [one.startswith("That was not it. ") for one in paper.asked] == [False, True, True]
        assert rig.session.vault.recovery is not None

    asyncio.run(story())


def test_a_replaced_or_foreign_code_opens_nothing(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, "A", "B")
        first = Paper(rig)
        await change(rig, change="recovery-set")
        old = first.code
        rig.owner.shown.clear()
        await change(rig, change="recovery-set")
        assert first.code != old
        rig = await restart(rig, provider_rig)
        paper = Paper(rig)
        for wrong, error in (
            (old, NotAllowed),
            (codes.format_code(codes.new_code(os.urandom)), NotAllowed),
            (old[:-1] + ("0" if old[-1] != "0" else "1"), InvalidArgument),
            ("nonsense", InvalidArgument),
        ):
            paper.code = wrong
            with pytest.raises(error) as caught:
                await recover(rig, "B")
            assert wrong not in str(caught.value)
        assert rig.session.vault is None
        assert not rig.session.journal.has_keys
        assert len(await rig.session.keyslots()) == 1

    asyncio.run(story())


def test_without_a_code_or_with_an_open_vault_there_is_no_recovery(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, "A", "B")
        Paper(rig)
        with pytest.raises(NotAllowed, match="open"):
            await recover(rig, "B")
        rig = await restart(rig, provider_rig)
        with pytest.raises(NotFound, match="no recovery code"):
            await recover(rig, "B")

    asyncio.run(story())


def test_a_removed_token_does_not_take_the_recovery_code_along(provider_rig: ProviderRig):
    async def story() -> None:
        rig = await make(provider_rig, "A", "B", "C")
        paper = Paper(rig)
        await change(rig, change="recovery-set")
        await rig.agent.present(APP, provider_rig.signed(), rig.job())
        await change(rig, change="token-add", token="B", user_verification=False, name=None)
        await change(rig, change="token-remove", id=rig.tokens.tokens[0].credential.id)
        code = paper.code
        rig = await restart(rig, provider_rig)
        Paper(rig).code = code
        await recover(rig, "C")
        await rig.agent._ending
        verify(rig)

    asyncio.run(story())


@given(st.binary(min_size=17, max_size=17), st.sampled_from(["", "-", " ", " \u2013 ", "."]), st.booleans())
def test_reading_forgives_case_separators_and_misread_letters(raw: bytes, separator: str, lower: bool):
    code = codes.new_code(lambda _size: raw)
    text = codes.format_code(code)
    assert re.fullmatch(r"(?:[0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}", text)
    typed = text.replace("-", separator).replace("0", "O").replace("1", "l")
    assert codes.parse_code(typed.lower() if lower else typed) == code


@given(
    st.binary(min_size=17, max_size=17),
    st.integers(0, 27),
    st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
)
def test_one_wrong_character_is_nearly_always_noticed(raw: bytes, place: int, character: str):
    text = codes.format_code(codes.new_code(lambda _size: raw)).replace("-", "")
    typed = text[:place] + character + text[place + 1 :]
    if typed == text:
        return
    try:
        read_code = codes.parse_code(typed)
    except InvalidArgument:
        return
    assert read_code != codes.parse_code(text), "one in 1,024 passes the checksum and then opens nothing"


def test_two_codes_are_not_alike_and_have_130_bits():
    made = {codes.new_code(os.urandom).reveal() for _ in range(50)}
    assert len(made) == 50
    assert all(len(code) == codes.CODE_CHARS for code in made)
    highest = codes.new_code(lambda size: b"\xff" * size)
    lowest = codes.new_code(bytes)
    assert highest.reveal() == b"Z" * 26
    assert lowest.reveal() == b"0" * 26
