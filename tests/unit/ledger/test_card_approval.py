"""Approvals by cards and by the recovery code: each check alone, and no kind ever stands for another."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from msgspec.structs import replace
from tests.rigs.ledgers import TestCard, TestRecovery, TestToken, rsa_key

from ownerd.ledger.approval import (
    card_message,
    recovery_message,
    verify_approval,
    verify_card,
    verify_recovery,
)
from ownerd.ledger.facts import EnrolledToken, format_token
from ownerd.model.errors import BadSignature, Malformed
from ownerd.model.token import CardApproval, RecoveryApproval, TokenCredential

CHALLENGE = bytes(range(32))
ALGORITHMS = ["ES256", "ES384", "RS256"]


def credential(card: TestCard) -> TokenCredential:
    """The card as the core keeps it."""
    return TokenCredential(
        type=card.enrolled.type,
        id=card.enrolled.id,
        credential_id=b"",
        public_key=card.enrolled.public_key,
        user_verification=True,
        aaguid="",
        firmware=0,
        software=True,
        name="test",
    )


def test_what_is_signed_is_exactly_this():
    assert card_message(CHALLENGE) == b"ownerd/card/v1\x00" + CHALLENGE
    assert recovery_message(CHALLENGE) == b"ownerd/recovery/v1\x00" + CHALLENGE
    for message in (card_message, recovery_message):
        for wrong in (b"", CHALLENGE[:-1], CHALLENGE + b"\0"):
            with pytest.raises(Malformed):
                message(wrong)


@pytest.mark.parametrize("type_", ["piv", "pkcs11"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_approval_holds(algorithm, type_):
    card = TestCard(algorithm=algorithm, type_=type_)
    for token in (card.enrolled, credential(card)):
        verify_card(card.approve(CHALLENGE), CHALLENGE, token)
        verify_approval(card.approve(CHALLENGE), CHALLENGE, token=token)
        assert format_token(token) == format_token(card.enrolled)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_challenge_card_type_or_algorithm_is_refused(algorithm):
    card = TestCard(algorithm=algorithm)
    approval = card.approve(CHALLENGE)
    with pytest.raises(BadSignature):
        verify_card(approval, bytes(32), card.enrolled)
    for wrong in (
        replace(approval, token="card-2"),
        replace(approval, type="pkcs11"),
        replace(approval, algorithm="ES384" if algorithm == "ES256" else "ES256"),
        replace(approval, signature=bytes(len(approval.signature))),
    ):
        with pytest.raises(BadSignature):
            verify_card(wrong, CHALLENGE, card.enrolled)
    with pytest.raises(BadSignature):
        verify_card(approval, CHALLENGE, replace(card.enrolled, type="pkcs11"))
    with pytest.raises(Malformed):
        verify_card(replace(approval, signature=b"short"), CHALLENGE, card.enrolled)
    with pytest.raises(Malformed):
        verify_card(approval, CHALLENGE, replace(card.enrolled, public_key={"kty": "EC"}))


def test_a_key_of_another_card_is_refused():
    card, other = TestCard("card-1"), TestCard("card-2")
    swapped = replace(card.enrolled, public_key=other.enrolled.public_key)
    with pytest.raises(BadSignature):
        verify_card(card.approve(CHALLENGE), CHALLENGE, swapped)


def test_the_bare_challenge_or_another_padding_or_hash_is_refused():
    card = TestCard(algorithm="RS256")
    message, key = card_message(CHALLENGE), rsa_key()
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for signature in (
        card.sign(CHALLENGE),
        card.sign(recovery_message(CHALLENGE)),
        key.sign(message, pss, hashes.SHA256()),
        key.sign(message, padding.PKCS1v15(), hashes.SHA384()),
    ):
        with pytest.raises(BadSignature):
            verify_card(CardApproval("card-1", "RS256", signature), CHALLENGE, card.enrolled)


def test_a_recovery_approval_holds_for_its_key_alone():
    code, other = TestRecovery("code-1"), TestRecovery("code-2")
    approval = code.approve(CHALLENGE)
    verify_recovery(approval, CHALLENGE, code.public_key)
    verify_approval(approval, CHALLENGE, token=None, recovery_key=code.public_key)
    with pytest.raises(BadSignature):
        verify_recovery(approval, CHALLENGE, other.public_key)
    with pytest.raises(BadSignature):
        verify_recovery(approval, bytes(32), code.public_key)
    with pytest.raises(BadSignature):
        verify_recovery(RecoveryApproval(code.key.sign(CHALLENGE)), CHALLENGE, code.public_key)
    with pytest.raises(Malformed):
        verify_recovery(approval, CHALLENGE, code.public_key[:-1])
    with pytest.raises(Malformed):
        verify_recovery(approval, CHALLENGE[:-1], code.public_key)
    for place in range(64):
        spoiled = bytearray(approval.signature)
        spoiled[place] ^= 1
        with pytest.raises(BadSignature):
            verify_recovery(RecoveryApproval(bytes(spoiled)), CHALLENGE, code.public_key)


def test_no_kind_of_approval_stands_for_another():
    token, card, code = TestToken(), TestCard(), TestRecovery()
    key = code.public_key
    # One key pair enrolled as both kinds: what it signed as one never serves as the other.
    twin = TestCard("token-1")
    twin.key, twin.enrolled = token.key, replace(twin.enrolled, public_key=token.enrolled.public_key)
    assert isinstance(token.enrolled, EnrolledToken)
    for approval, enrolled in (
        (token.approve(CHALLENGE), twin.enrolled),
        (token.approve(CHALLENGE), credential(twin)),
        (twin.approve(CHALLENGE), token.enrolled),
        (token.approve(CHALLENGE), None),
        (card.approve(CHALLENGE), None),
        (card.approve(CHALLENGE), token.enrolled),
    ):
        with pytest.raises(BadSignature):
            verify_approval(approval, CHALLENGE, token=enrolled, recovery_key=key)
    with pytest.raises(BadSignature):
        verify_approval(code.approve(CHALLENGE), CHALLENGE, token=card.enrolled)
    verify_approval(token.approve(CHALLENGE), CHALLENGE, token=token.enrolled)
