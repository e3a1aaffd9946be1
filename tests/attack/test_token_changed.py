"""A token that is not as it was enrolled: reset behind our back, other credential, other mode. Explained, never used."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest
from fido2.ctap2 import Ctap2
from msgspec import structs
from tests.rigs.tokens import FakeUi, Rigged

from ownerd.core.seal import key_check
from ownerd.model.errors import TokenError, TokenMissing, WrongKey
from ownerd.model.token import SecretHandle, TokenCredential

CHALLENGE = hashlib.sha256(b"challenge").digest()
SALT = bytes(range(32))


async def enrolled(rig: Rigged, *, user_verification: bool) -> tuple[TokenCredential, SecretHandle]:
    """A credential in one mode, and a handle whose secret is known in that mode."""
    tokens, ui = rig.tokens(), FakeUi()
    (info,) = await tokens.present()
    credential = await tokens.enrol(info.id, user_verification=user_verification, ui=ui)
    answer = await tokens.approve(credential, CHALLENGE, [SecretHandle(SALT)], ui=ui)
    return credential, SecretHandle(SALT, key_check(answer.secrets[0]))


@pytest.mark.parametrize("user_verification", [False, True])
def test_a_keyslot_of_the_other_mode_is_named_and_yields_nothing(
    rigged: Rigged, user_verification: bool
) -> None:
    async def use(rig: Rigged) -> None:
        credential, handle = await enrolled(rig, user_verification=user_verification)
        other = structs.replace(credential, user_verification=not user_verification)
        with pytest.raises(WrongKey) as caught:
            await rig.tokens().approve(other, CHALLENGE, [handle], ui=FakeUi())
        assert "another mode" in caught.value.hint

    rigged.set_pin()
    asyncio.run(use(rigged))


def test_a_token_that_was_reset_is_missing_and_asks_for_nothing(rigged: Rigged) -> None:
    async def use(rig: Rigged) -> None:
        credential, handle = await enrolled(rig, user_verification=False)
        with rig.raw() as device:
            Ctap2(device).reset()
        ui = FakeUi()
        with pytest.raises(TokenMissing):
            await rig.tokens().locate([credential])
        with pytest.raises(TokenError):
            await rig.tokens().approve(credential, CHALLENGE, [handle], ui=ui)
        assert ui.names == []

    asyncio.run(use(rigged))


def test_a_credential_id_exchanged_in_the_keyslot_finds_no_token(rigged: Rigged) -> None:
    async def use(rig: Rigged) -> None:
        credential, handle = await enrolled(rig, user_verification=False)
        other = structs.replace(credential, credential_id=os.urandom(len(credential.credential_id)))
        with pytest.raises(TokenMissing):
            await rig.tokens().locate([other])
        with pytest.raises(TokenError):
            await rig.tokens().approve(other, CHALLENGE, [handle], ui=FakeUi())

    asyncio.run(use(rigged))
