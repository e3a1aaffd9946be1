"""A core on fakes: tokens that really sign and really yield secrets, in memory; a scripted owner.

The fake token answers as a real one does (ES256 over authenticator data, HMAC of salts), so that everything
the core writes verifies with the ledger's own verifier.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ownerd.core.agent import Agent
from ownerd.core.bargaining import Negotiations
from ownerd.core.budget import Budget
from ownerd.core.desk import Desk
from ownerd.core.ports import MAX_TYPED_BYTES, Job, Progress, Recognised
from ownerd.core.records import read_entries
from ownerd.core.seal import key_check
from ownerd.core.session import Session
from ownerd.credential.jwe import new_key, open_jwe, public_jwk, public_members, seal_jwe
from ownerd.ledger.approval import client_data
from ownerd.ledger.verify import verify_ledger
from ownerd.model.caller import Caller, Confidence, Terminal
from ownerd.model.errors import (
    Busy,
    InvalidArgument,
    PinNeeded,
    PinWrong,
    StorageError,
    TokenMissing,
    Unsupported,
    WrongKey,
)
from ownerd.model.names import RP_ID
from ownerd.model.secret import Secret
from ownerd.model.token import Approval, Fido2Approval, TokenAnswer, TokenCredential, TokenInfo

APP = Caller(":1.7", 1000, "bookshop", Confidence.EXECUTABLE)
TTY = Terminal("/dev/pts/0", "xterm", "C.UTF-8")


class ManualClock:
    """Clocks that tests set: ``wrong_ms`` is how far the one on the wall is ahead."""

    def __init__(self, now_ms: int = 1_795_442_400_000) -> None:
        self.time = now_ms
        self.wrong_ms = 0

    def now_ms(self) -> int:
        return self.passed_ms() + self.wrong_ms

    def passed_ms(self) -> int:
        self.time += 1
        return self.time


class MemoryNotebook:
    """`Notebook` in memory."""

    def __init__(self) -> None:
        self.text = b""

    def read(self) -> bytes:
        return self.text

    def write(self, text: bytes) -> None:
        self.text = text


class MemoryHeads:
    """`HeadPort` in memory: ``files`` by path, None where the directory is gone."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | None] = {}

    async def read(self, path: str) -> bytes | None:
        found = self.files.get(path, b"")
        if found is None:
            raise StorageError("the directory of a head is not there")
        return found or None

    async def swap(self, path: str, note: bytes, expected: bytes | None) -> None:
        if await self.read(path) != expected:
            raise Busy("another head was written there meanwhile")
        self.files[path] = note


class FakeToken:
    """One authenticator: a credential key and a secret for hmac-secret."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = os.urandom(32)
        self.credential_id = os.urandom(32)
        self.plugged = True
        self.asked: list[tuple[bytes, ...]] = []
        self.pin: bytes | None = None
        self.pin_tries = 8
        self.keeps_heads = False
        self.head: bytes | None = None

    @property
    def info(self) -> TokenInfo:
        has_pin = self.pin is not None
        tries = self.pin_tries if has_pin else None
        return TokenInfo(
            self.name, self.name, "software", "00", 1, has_pin=has_pin, pin_tries=tries, software=True
        )

    @property
    def credential(self) -> TokenCredential:
        return TokenCredential(
            type="fido2",
            id=hashlib.sha256(self.credential_id).hexdigest()[:16],
            credential_id=self.credential_id,
            public_key=public_members(self.key),
            user_verification=False,
            aaguid="00",
            firmware=1,
            software=True,
            name=self.name,
        )

    def sign(self, challenge: bytes) -> Approval:
        data = client_data(challenge)
        auth = hashlib.sha256(RP_ID.encode()).digest() + b"\x01" + bytes(4)
        signature = self.key.sign(auth + hashlib.sha256(data).digest(), ec.ECDSA(hashes.SHA256()))
        return Fido2Approval(self.credential.id, self.credential_id, data, auth, signature)


class FakeTokens:
    """`TokenPort` over some `FakeToken`; ``before_touch`` runs while the token waits for its touch."""

    def __init__(self, *tokens: FakeToken) -> None:
        self.tokens = list(tokens)
        self.before_touch: Callable[[], object] | None = None

    async def present(self) -> list[TokenInfo]:
        return [token.info for token in self.tokens if token.plugged]

    async def enrol(self, token_id, *, user_verification, ui):
        token = next((one for one in self.tokens if one.name == token_id and one.plugged), None)
        if token is None:
            raise TokenMissing("no such token")
        ui.touch_needed(token.info, 30.0)
        return token.credential

    async def make_keys(self, token_id, algorithm, *, keep, ui):
        raise Unsupported("makes none")

    async def change_pin(self, token_id, *, ui):
        token = next((one for one in self.tokens if one.name == token_id and one.plugged), None)
        if token is None:
            raise TokenMissing("no such token")
        old = await ui.pin(token.info) if token.pin is not None else None
        new = await ui.new_pin(token.info)
        if old is not None and old.reveal() != token.pin:
            token.pin_tries -= 1
            raise PinWrong(tries_left=token.pin_tries)
        token.pin, token.pin_tries = new.reveal(), 8

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        for credential in credentials:
            if any(one.plugged and one.credential_id == credential.credential_id for one in self.tokens):
                return credential
        raise TokenMissing("no enrolled token is present")

    async def recognise(self, credentials: Sequence[TokenCredential]) -> Recognised:
        here = {one.credential_id: one.name for one in self.tokens if one.plugged}
        return Recognised(
            {one.id: here[one.credential_id] for one in credentials if one.credential_id in here}
        )

    def _of(self, credential: TokenCredential) -> FakeToken:
        for token in self.tokens:
            if token.credential_id == credential.credential_id and token.plugged:
                if not token.keeps_heads:
                    raise Unsupported("keeps no heads")
                return token
        raise TokenMissing("not here")

    async def read_head(self, credential: TokenCredential) -> bytes | None:
        return self._of(credential).head

    async def write_head(self, credential, note, expected, *, ui) -> None:
        token = self._of(credential)
        if token.pin is not None:
            if ui is None:
                raise PinNeeded("wants its PIN")
            await ui.pin(token.info)
        if token.head != expected:
            raise Busy("another head is there")
        token.head = note

    async def approve(self, credential, challenge, handles, *, ui) -> TokenAnswer:
        token = next(
            one for one in self.tokens if one.credential_id == credential.credential_id and one.plugged
        )
        ui.touch_needed(token.info, 30.0)
        if self.before_touch is not None:
            result = self.before_touch()
            if asyncio.iscoroutine(result):
                await result
        token.asked.append(tuple(handle.salt for handle in handles))
        secrets = tuple(Secret(hmac.new(token.secret, handle.salt, "sha256").digest()) for handle in handles)
        for handle, secret in zip(handles, secrets, strict=True):
            if handle.check is not None and key_check(secret) != handle.check:
                raise WrongKey("another secret")
        return TokenAnswer(token.sign(challenge), secrets)


@dataclass
class ScriptedOwner:
    """`PromptPort`: approves or refuses at once, or waits; remembers what was shown."""

    decision: bool | None = True
    has_display: bool = True
    shown: list[str] = field(default_factory=list)
    notified: list[tuple[str, str]] = field(default_factory=list)
    pins: list[bytes] = field(default_factory=list)

    def can_prompt(self, terminal: Terminal | None) -> bool:
        return terminal is not None or self.has_display

    async def pin(self, terminal, *, description, timeout_seconds, asks="PIN") -> Secret:
        self.shown.append(description)
        typed = self.pins.pop(0) if self.pins else b"1234"
        if len(typed) > MAX_TYPED_BYTES[asks]:
            raise InvalidArgument("too long")
        return Secret(typed)

    async def confirm(self, terminal, *, description, approve_label, refuse_label, timeout_seconds) -> bool:
        # A prompt on a terminal is answered by the first letter of what is meant.
        assert approve_label[0].lower() != refuse_label[0].lower()
        self.shown.append(description)
        while self.decision is None:
            await asyncio.sleep(0)
        return self.decision

    async def touch_wanted(self, token_name: str, reason: str) -> None:
        self.notified.append((token_name, reason))

    async def touch_done(self) -> None:
        pass


@dataclass
class CoreRig:
    """An agent on fakes, and the handles to play with them."""

    agent: Agent
    session: Session
    tokens: FakeTokens
    owner: ScriptedOwner
    clock: ManualClock
    store: object
    states: list[tuple[str, dict[str, str | int]]] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)

    def job(self, terminal: Terminal | None = None) -> Job:
        def progress(state: Progress, details: dict[str, str | int]) -> None:
            self.states.append((state.value, details))

        return Job(progress, terminal)


def make_core(
    store: object,
    *tokens: FakeToken,
    anchors: Sequence[object] = (),
    port: object | None = None,
    heads: object | None = None,
) -> CoreRig:
    """Wire an agent on ``store``, over ``port`` or fakes; call `Agent.start` before use."""
    clock, owner = ManualClock(), ScriptedOwner()
    fakes = FakeTokens(*(tokens or (FakeToken("A"),)))
    ended: list[bool] = []
    desk = Desk(owner, clock, prompt_seconds=5, wait_seconds=5)
    session = Session(
        store,
        port or fakes,
        desk,
        clock,
        os.urandom,
        lambda: list(anchors),
        Negotiations(clock),
        Budget(clock, MemoryNotebook()),
        heads or MemoryHeads(),
        token_seconds=0,
    )
    agent = Agent(session, lambda: ended.append(True))
    return CoreRig(agent, session, fakes, owner, clock, store, ended=ended)


@pytest.fixture
def app_caller() -> Caller:
    return APP


TOOL = new_key()


def seal(rig: CoreRig, **members: object) -> str:
    message = {"v": 1, "key": public_jwk(TOOL), **members}
    return seal_jwe(json.dumps(message).encode(), json.loads(rig.agent.session_key()))


async def set_up(rig: CoreRig, **claims: str) -> dict:
    await rig.agent.start()
    rig.clock.time = time.time_ns() // 1_000_000
    answer = await rig.agent.setup(APP, seal(rig, token="A", user_verification=False), rig.job())
    if claims:
        given = [
            {"name": name.replace("__", "."), "value": value, "source": "test"}
            for name, value in claims.items()
        ]
        await rig.agent.change(APP, seal(rig, change="set", claims=given), rig.job())
    return json.loads(open_jwe(answer, TOOL))


def verify(rig: CoreRig, key: str | None = None):
    store = rig.store
    report = verify_ledger(
        [(row.seq, row.leaf) for row in store.entries],
        store.checkpoints,
        [(row.seq, row.ciphertext) for row in store.entries if row.ciphertext is not None],
        verifier_key=key,
        progress=None,
    )
    assert report.findings == ()
    return report


def kinds(rig: CoreRig) -> list[str]:
    return [json.loads(row.leaf)["core"]["kind"] for row in rig.store.entries]


async def opened_values(rig: CoreRig, seq: int) -> dict:
    """What the opening of an entry says, verified."""
    found = await read_entries(rig.store, rig.session.vault.opening_keys(), seq, 1)
    return found["entries"][0]["values"]
