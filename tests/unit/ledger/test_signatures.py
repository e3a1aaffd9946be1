"""Signatures as values: what holds, what does not, and keys that are none."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.rigs.ledgers import TestCard, TestRecovery, TestToken

from ownerd.ledger.approval import card_message
from ownerd.ledger.signatures import Check, holds, key_text

DIGEST = hashlib.sha256(b"statement").digest()
MESSAGE = card_message(DIGEST)


def by_card(algorithm: str, name: str = "card-1") -> Check:
    card = TestCard(name, algorithm)
    return (algorithm, key_text(card.enrolled.public_key), card.sign(MESSAGE), MESSAGE)


def by_token(name: str = "token-1") -> Check:
    token = TestToken(name)
    signature = token.key.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    return ("fido2", key_text(token.enrolled.public_key), signature, MESSAGE)


def by_code(name: str = "code-1") -> Check:
    code = TestRecovery(name)
    return ("Ed25519", code.public_key.hex(), code.key.sign(MESSAGE), MESSAGE)


MADE = [by_code(), by_token(), by_card("ES256"), by_card("ES384"), by_card("RS256")]
every = pytest.mark.parametrize("check", MADE, ids=lambda check: check[0])


@every
def test_a_signature_holds(check):
    assert holds(check)


@every
def test_another_message_signature_or_key_does_not(check):
    scheme, key, signature, message = check
    for place in range(0, len(signature), 7):
        flipped = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        assert not holds((scheme, key, flipped, message))
    assert not holds((scheme, key, signature, message + b"\x00"))
    assert not holds((scheme, key, signature, b""))
    assert not holds((scheme, key, b"", message))
    assert not holds((scheme, key, signature + b"\x00", message))


@pytest.mark.parametrize("make", [by_code, by_token, lambda name: by_card("ES256", name)])
def test_the_key_of_another_does_not(make):
    (scheme, _, signature, message), (_, other, _, _) = make("one"), make("another")
    assert not holds((scheme, other, signature, message))


@every
@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "a.b.c",
        "zz" * 32,
        "00" * 31,
        "00" * 32,
        "é.é",
        "AAAA.AAAA",
        f"{'A' * 43}.{'A' * 43}",
        "AQ.AQ",
    ],
)
def test_a_key_that_is_none_makes_none_hold(check, key):
    scheme, _, signature, message = check
    assert holds((scheme, key, signature, message)) is False


@every
def test_a_key_serves_its_own_scheme_alone(check):
    _, key, signature, message = check
    schemes = [other for other, *_ in MADE if other != check[0]]
    assert [holds((other, key, signature, message)) for other in schemes] == [False] * 4
