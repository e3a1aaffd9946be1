"""Row 5: unlock with ten enrolled tokens, against unlock with one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from msgspec.structs import replace
from tests.rigs.core import APP, FakeToken, make_core

from bench.measure import Row, Scale, medians, timed_async
from bench.rig import Bench, bench
from bench.touch import QuietUi
from ownerd.core import keyslot as keyslots
from ownerd.model.names import Kind

TOKENS: Final = 10


def rows(scale: Scale) -> Iterator[Row]:
    """Nine tokens are enrolled that stay away."""
    alone = [FakeToken("A")]
    many = [FakeToken("A"), *(FakeToken(f"B{number}") for number in range(1, TOKENS))]
    with ExitStack() as stack:
        one, ten = stack.enter_context(bench(*alone)), stack.enter_context(bench(*many))
        for token in many[1:]:
            ten.run(enrol(ten, token))
            token.plugged = False
        found = medians(
            {"one": lambda: _unlock(one, alone), "ten": lambda: _unlock(ten, many)}, scale.rounds(60)
        )
    what = f"unlock the vault, {TOKENS} enrolled tokens"
    yield Row("unlock-ten", what, "unlock with one enrolled token", found["ten"], found["one"])


async def enrol(made: Bench, token: FakeToken) -> None:
    """Write a keyslot for a token that stays away: shape and size are true, its pairs are the first token's."""
    session = made.core.session
    journal, vault = session.require_journal(), session.require_vault()
    first = made.core.tokens.tokens[0].credential
    draft = journal.draft(Kind.OWNER_CHANGE, {})
    answer = await made.core.tokens.approve(first, draft.challenge, [], ui=QuietUi())
    put = [keyslots.format_keyslot(replace(vault.keyslots[first.id], credential=token.credential))]
    await journal.append(draft, approval=answer.approval, put=put)
    vault.apply(put, ())


def _unlock(made: Bench, tokens: list[FakeToken]) -> float:
    """Start locked on the same database; seconds of the unlock alone."""
    fresh = make_core(made.store, *tokens)

    async def unlock() -> float:
        await fresh.agent.start()
        return await timed_async(lambda: fresh.agent.unlock(APP, fresh.job()))

    seconds = made.run(unlock())
    assert fresh.session.vault is not None
    return float(seconds)
