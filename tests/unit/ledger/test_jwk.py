"""Public JWKs of signing keys: every form but the one is refused, and signatures bind key, length and hash."""

import pytest
from tests.rigs.ledgers import TestCard, number, rsa_key

from ownerd.ledger.jwk import parse_jwk, public_key
from ownerd.model.encoding import format_b64u
from ownerd.model.errors import BadSignature, Malformed

CARDS = {algorithm: TestCard(algorithm=algorithm) for algorithm in ("ES256", "ES384", "RS256")}
P256, P384, RSA = (card.enrolled.public_key for card in CARDS.values())
N = rsa_key().public_key().public_numbers().n


@pytest.mark.parametrize("algorithm", CARDS)
def test_the_key_says_the_algorithm_and_verifies(algorithm):
    card = CARDS[algorithm]
    key = parse_jwk(card.enrolled.public_key)
    assert key.algorithm == algorithm
    signature = card.sign(b"message")
    key.verify(signature, b"message")
    with pytest.raises(BadSignature):
        key.verify(signature, b"another")
    for wrong in (b"", signature[:-1], signature + b"\0", b"\0" + signature):
        with pytest.raises(Malformed):
            key.verify(wrong, b"message")
    for place in range(len(signature)):
        spoiled = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        with pytest.raises(BadSignature):
            key.verify(spoiled, b"message")
    with pytest.raises(BadSignature):
        key.verify(bytes(len(signature)), b"message")


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        [],
        {},
        "key",
        {**P256, "kty": "OKP"},
        {**P256, "kty": "oct"},
        {**P256, "kty": ["EC"]},
        {**P256, "crv": "P-384"},
        {**P384, "crv": "P-256"},
        {**P256, "crv": "P-521"},
        {**P256, "crv": "secp256k1"},
        {**P256, "crv": None},
        {**P256, "alg": "ES256"},
        {**P256, "d": P256["x"]},
        {**P256, "kid": "1"},
        {name: P256[name] for name in ("kty", "crv", "x")},
        {**P256, "x": P256["x"] + "=="},
        {**P256, "x": 7},
        {**P256, "y": P256["x"]},
        {**P256, "y": format_b64u(bytes(32))},
        {**P256, "x": format_b64u(bytes(32)), "y": format_b64u(bytes(32))},
        {**P256, "x": format_b64u(b"\xff" * 32)},
        {**P384, "y": P384["x"]},
        {**P384, "y": P384["y"][:-4]},
        {**RSA, "kty": "EC"},
        {**P256, "kty": "RSA"},
        {**RSA, "alg": "RS256"},
        {**RSA, "d": RSA["n"]},
        {"kty": "RSA", "n": RSA["n"]},
        {**RSA, "n": ""},
        {**RSA, "n": number(N - 1)},
        {**RSA, "n": number(N >> 1 | 1)},
        {**RSA, "n": number((1 << 4095) * 2 + 1)},
        {**RSA, "n": number((1 << 8191) + 1)},
        {**RSA, "n": number(N, 257)},
        {**RSA, "e": number(3)},
        {**RSA, "e": number(65535)},
        {**RSA, "e": number(65538)},
        {**RSA, "e": number((1 << 32) + 1)},
        {**RSA, "e": number(65537, 4)},
        {**RSA, "e": 65537},
    ],
)
def test_other_keys_are_refused(jwk):
    with pytest.raises(Malformed):
        parse_jwk(jwk)


@pytest.mark.parametrize(
    "jwk",
    [
        {**RSA, "n": number((1 << 2047) + 1)},
        {**RSA, "n": number((1 << 4096) - 1)},
        {**RSA, "e": number((1 << 32) - 1)},
    ],
    ids=["2048 bits", "4096 bits", "32-bit exponent"],
)
def test_the_bounds_themselves_are_allowed(jwk):
    assert parse_jwk(jwk).algorithm == "RS256"


@pytest.mark.parametrize("jwk", [P384, RSA, {**P256, "kty": "RSA"}, None])
def test_a_fido2_key_is_of_p256(jwk):
    assert public_key(P256).curve.name == "secp256r1"
    with pytest.raises(Malformed):
        public_key(jwk)
