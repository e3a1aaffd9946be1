"""Row 4: what unlock and approve add to the token's own time, with the software token in this process.

The person touches at once. Time inside the authenticator is taken off both sides; the floor is the same
exchange with python-fido2 alone: getInfo, key agreement, one assertion with hmac-secret, its signature verified.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from fido2.cose import CoseKey
from fido2.ctap2 import ClientPin, Ctap2
from fido2.ctap2.extensions import HmacSecretExtension
from fido2.webauthn import PublicKeyCredentialRequestOptions
from tests.rigs.softtoken import InProcessDevice, make_authenticator

from bench.measure import Row, Scale, added, medians, timed, timed_async
from ownerd.core.seal import key_check
from ownerd.model.encoding import parse_b64u
from ownerd.model.names import RP_ID
from ownerd.model.secret import Secret
from ownerd.model.token import SecretHandle, TokenCredential, TokenInfo
from ownerd.tokens.candidate import Candidate
from ownerd.tokens.fido2_port import Fido2Tokens

AGAINST = "the same assertion with python-fido2 alone; the token's own time is taken off both"


class TimedDevice(InProcessDevice):
    """Notes the time that each call spends in the authenticator."""

    def __init__(self) -> None:
        super().__init__(make_authenticator())
        self.spent: list[float] = []

    def call(self, *arguments: Any, **more: Any) -> bytes:
        """Call, timed."""
        with added(self.spent):
            return super().call(*arguments, **more)

    def without(self, sample: Callable[[], float]) -> float:
        """Seconds of ``sample`` without those inside the authenticator."""
        self.spent.clear()
        return sample() - sum(self.spent)


class QuietUi:
    """A person who is told and says nothing."""

    async def pin(self, token: TokenInfo) -> Secret:
        """No token of this bench has a PIN."""
        raise AssertionError(token)

    def touch_needed(self, token: TokenInfo, timeout_seconds: float) -> None:
        """Touch at once."""


def rows(scale: Scale) -> Iterator[Row]:
    """Approve alone, and locate and approve as an unlock does."""
    device, ui = TimedDevice(), QuietUi()
    candidate = Candidate("software-1", "software", "token", lambda _limit: device)
    tokens = Fido2Tokens(key_check=key_check, finders=[lambda: [candidate]])
    with asyncio.Runner() as runner:
        credential = runner.run(tokens.enrol("software-1", user_verification=False, ui=ui))
        first = SecretHandle(os.urandom(32))
        answer = runner.run(tokens.approve(credential, bytes(32), [first], ui=ui))
        handle = SecretHandle(first.salt, key_check(answer.secrets[0]))

        async def approve() -> None:
            await tokens.approve(credential, os.urandom(32), [handle], ui=ui)

        async def unlock() -> None:
            await approve_located(tokens, credential, approve)

        found = medians(
            {
                "approve": lambda: device.without(lambda: runner.run(timed_async(approve))),
                "unlock": lambda: device.without(lambda: runner.run(timed_async(unlock))),
                "floor": lambda: device.without(
                    lambda: timed(lambda: bare_assertion(device, credential, handle))
                ),
            },
            scale.rounds(100),
        )
    token = {"token": sum(device.spent)}
    for name, what in (
        ("touch-approve", "added by TokenPort.approve (one touch, one secret)"),
        ("touch-unlock", "added by locate and approve, as unlock calls them"),
    ):
        yield Row(name, what, AGAINST, found[name.removeprefix("touch-")], found["floor"], more=token)


async def approve_located(
    tokens: Fido2Tokens, credential: TokenCredential, approve: Callable[[], Awaitable[None]]
) -> None:
    """Find the token, then touch."""
    await tokens.locate([credential])
    await approve()


def bare_assertion(device: InProcessDevice, credential: TokenCredential, handle: SecretHandle) -> None:
    """One verified assertion with one secret, nothing of ownerd's in it."""
    ctap, digest = Ctap2(device), hashlib.sha256(os.urandom(32)).digest()
    options = PublicKeyCredentialRequestOptions(
        challenge=b"", extensions={"hmacGetSecret": {"salt1": handle.salt}}
    )
    extension = HmacSecretExtension(allow_hmac_secret=True).get_assertion(
        ctap, options, ClientPin(ctap).protocol
    )
    allow = [{"type": "public-key", "id": credential.credential_id}]
    answer = ctap.get_assertion(RP_ID, digest, allow, extensions=extension.prepare_inputs(None, None))
    extension.prepare_outputs(answer, None)
    x, y = (parse_b64u(str(credential.public_key[name])) for name in ("x", "y"))
    answer.verify(digest, CoseKey.parse({1: 2, 3: -7, -1: 1, -2: x, -3: y}))
