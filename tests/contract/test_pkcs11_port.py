"""The contract of `TokenPort` on PKCS#11, with real SoftHSM2 tokens."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.rigs.softhsm import SoftHsm
from tests.rigs.tokens import FakeUi

from ownerd.core.seal import key_check
from ownerd.ledger.approval import verify_card
from ownerd.ledger.jwk import parse_jwk
from ownerd.model.errors import WrongKey
from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential
from ownerd.tokens.pkcs11_port import Pkcs11Tokens

CHALLENGE = hashlib.sha256(b"challenge").digest()


async def enrol(tokens: Pkcs11Tokens, ui: FakeUi) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=True, ui=ui)


def handle(curve: ec.EllipticCurve | None = None) -> tuple[ec.EllipticCurvePrivateKey, SecretHandle]:
    ours = ec.generate_private_key(curve or ec.SECP256R1())
    point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return ours, SecretHandle(point)


def test_a_pin_signs_the_challenge_and_opens_the_same_secrets(softhsm: SoftHsm) -> None:
    ours, one = handle()
    _, other = handle()

    async def use() -> tuple[TokenCredential, TokenAnswer, TokenAnswer, TokenAnswer, list[str]]:
        tokens, ui = softhsm.tokens(), FakeUi()
        credential = await enrol(tokens, ui)
        both = await tokens.approve(credential, CHALLENGE, (one, other), ui=ui)
        known = [SecretHandle(other.salt, key_check(both.secrets[1]))]
        again = await softhsm.tokens().approve(credential, CHALLENGE, known, ui=ui)
        bare = await tokens.approve(credential, CHALLENGE, (), ui=ui)
        return credential, both, again, bare, ui.names

    credential, both, again, bare, names = asyncio.run(use())
    assert names == ["pin"] * 4
    assert credential.opens
    assert credential.software
    theirs = parse_jwk(credential.agreement_key).key
    assert both.secrets[0].reveal() == ours.exchange(ec.ECDH(), theirs)
    assert again.secrets == (both.secrets[1],)
    assert bare.secrets == ()
    for answer in (both, again, bare):
        verify_card(answer.approval, CHALLENGE, credential)


def test_another_secret_than_the_enrolled_one_is_a_wrong_key(softhsm: SoftHsm) -> None:
    async def use() -> None:
        tokens, ui = softhsm.tokens(), FakeUi()
        credential = await enrol(tokens, ui)
        with pytest.raises(WrongKey):
            await tokens.approve(
                credential, CHALLENGE, [SecretHandle(handle()[1].salt, check=bytes(16))], ui=ui
            )

    asyncio.run(use())
