"""Rules for cards and the recovery code in a ledger: it lets its owner back in, and approves nothing else."""

import pytest
from tests.rigs.ledgers import LedgerMaker, TestCard, TestRecovery, TestToken, bad_day_ledger

from ownerd.ledger.entry import challenge
from ownerd.ledger.facts import MAY_BE_RECOVERED, NEEDS_APPROVAL, format_token
from ownerd.ledger.findings import Damage
from ownerd.model.encoding import format_b64u
from ownerd.model.names import Kind

TOKEN, CARD = TestToken("token-1"), TestCard("card-1")
CODE, NEW_CODE = TestRecovery("code-1"), TestRecovery("code-2")


@pytest.fixture
def maker() -> LedgerMaker:
    """Genesis, one token, its recovery code: entries 0 to 2."""
    made = LedgerMaker()
    made.set_up(TOKEN)
    made.set_recovery(CODE, by=TOKEN)
    return made


def found(maker: LedgerMaker) -> list[tuple[str, int | None]]:
    return [(one.name, one.first) for one in maker.tables.verify().findings]


def facts_of(maker: LedgerMaker, kind: Kind):
    return {
        Kind.TOKEN_ENROLLED: {"token": format_token(CARD.enrolled)},
        Kind.TOKEN_REMOVED: {"token": "token-1"},
        Kind.RECOVERY_SET: {"public_key": format_b64u(NEW_CODE.public_key)},
        Kind.ERASED: {"entries": [3]},
        Kind.DISCLOSURE: {},
        Kind.GRANT: maker.grant_facts(),
        Kind.RESTORED: maker.rotated("restored"),
    }.get(kind)


def test_a_bad_day_is_a_good_ledger():
    maker = bad_day_ledger()
    report = maker.tables.verify(verifier_key=maker.verifier_key)
    assert (report.ok, report.findings, report.approvals) == (True, (), 11)


@pytest.mark.parametrize("kind", sorted(NEEDS_APPROVAL))
def test_what_the_recovery_code_may_approve(maker, kind):
    maker.append(Kind.OFFER, {"statement": 1})  # 3, which is erased
    if kind is Kind.ERASED:
        maker.tables.openings.clear()
    seq = maker.append(kind, facts=facts_of(maker, kind), token=CODE)
    allowed = {Kind.TOKEN_ENROLLED, Kind.TOKEN_REMOVED, Kind.RECOVERY_SET, Kind.UNLOCKED}
    assert allowed == MAY_BE_RECOVERED
    assert found(maker) == ([] if kind in allowed else [(Damage.BAD_APPROVAL, seq)])


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.OFFER, Kind.LOCKED])
def test_nor_does_it_adorn_what_needs_no_approval(maker, kind):
    facts = {"reason": "idle"} if kind is Kind.LOCKED else None
    seq = maker.append(kind, facts=facts, token=CODE)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


def test_a_grant_by_the_recovery_code_is_never_live(maker):
    grant = maker.grant(CODE)
    seq = maker.disclose(None, {"grant": grant})
    assert found(maker) == [(Damage.BAD_APPROVAL, grant), (Damage.BAD_GRANT, seq)]


def test_no_code_no_recovery():
    maker = LedgerMaker()
    maker.set_up(TOKEN)
    seq = maker.append(Kind.UNLOCKED, token=CODE)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


def test_a_code_does_not_set_itself():
    maker = LedgerMaker()
    maker.set_up(TOKEN)
    seq = maker.set_recovery(CODE, by=CODE)
    after = maker.append(Kind.UNLOCKED, token=CODE)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq), (Damage.BAD_APPROVAL, after)]


def test_a_code_set_without_approval_does_not_serve(maker):
    seq = maker.set_recovery(NEW_CODE, by=None)
    after = maker.append(Kind.UNLOCKED, token=NEW_CODE)
    maker.append(Kind.UNLOCKED, token=CODE)
    assert found(maker) == [(Damage.MISSING_APPROVAL, seq), (Damage.BAD_APPROVAL, after)]


@pytest.mark.parametrize("by", [TOKEN, CODE], ids=["token", "old code"])
def test_only_the_newest_code_serves(maker, by):
    maker.set_recovery(NEW_CODE, by=by)
    maker.append(Kind.UNLOCKED, token=NEW_CODE)
    seq = maker.append(Kind.UNLOCKED, token=CODE)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


def test_the_new_code_does_not_replace_the_old_one_by_itself(maker):
    seq = maker.set_recovery(NEW_CODE, by=NEW_CODE)
    maker.append(Kind.UNLOCKED, token=CODE)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


def test_a_recovery_of_another_entry_is_refused(maker):
    other = maker.core(Kind.UNLOCKED)
    seq = maker.append(Kind.UNLOCKED, approval=CODE.approve(challenge(other)))
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


def test_recovery_enrols_a_token_that_then_serves(maker):
    maker.enrol(CARD, by=CODE)
    maker.append(Kind.TOKEN_REMOVED, facts={"token": "token-1"}, token=CODE)
    maker.disclose(CARD)
    seq = maker.disclose(TOKEN)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


def test_recovery_never_makes_the_first_token():
    maker = LedgerMaker()
    facts = {"verifier_key": maker.verifier_key, "opening_key": "A" * 43}
    maker.append(Kind.GENESIS, facts=facts, checkpoint=False)
    seq = maker.enrol(TOKEN, by=CODE)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256"])
def test_a_card_may_be_the_first_token(algorithm):
    maker, card = LedgerMaker(), TestCard(algorithm=algorithm, type_="pkcs11")
    maker.set_up(card)
    maker.enrol(TOKEN, by=card)
    maker.disclose(card)
    maker.append(Kind.TOKEN_REMOVED, facts={"token": "card-1"}, token=TOKEN)
    seq = maker.append(Kind.OWNER_READ, token=card)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


def test_a_card_that_is_not_enrolled_approves_nothing(maker):
    seq = maker.enrol(CARD, by=CARD)
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]


def test_a_card_under_the_id_of_a_token_approves_nothing(maker):
    seq = maker.disclose(TestCard("token-1"))
    assert found(maker) == [(Damage.BAD_APPROVAL, seq)]
