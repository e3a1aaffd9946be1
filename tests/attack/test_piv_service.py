"""Attack: pcscd ends and comes back under a PIV card, and a card that is taken out is noticed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.rigs.piv import P256, PivRig
from tests.rigs.tokens import FakeUi

from ownerd.ledger.approval import verify_card
from ownerd.model.errors import TokenMissing
from ownerd.model.token import SecretHandle, TokenCredential
from ownerd.tokens.piv_port import PivTokens

pytestmark = pytest.mark.in_pcsc_rig

CHALLENGE = hashlib.sha256(b"challenge").digest()
PID_FILE = Path("/run/pcscd/pcscd.pid")


def handle() -> SecretHandle:
    public = ec.generate_private_key(P256).public_key()
    return SecretHandle(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def typing(rig: PivRig) -> FakeUi:
    return FakeUi(pins=[rig.pin])


async def enrol(tokens: PivTokens) -> TokenCredential:
    (info,) = await tokens.present()
    return await tokens.enrol(info.id, user_verification=True, ui=FakeUi())


class Service:
    """The rig's pcscd: its process is the one in the pid file of this namespace."""

    def __init__(self) -> None:
        self.own: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        pid = int(PID_FILE.read_text().strip("\0\n"))
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while PID_FILE.exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def begin(self) -> None:
        pcscd = shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        assert pcscd is not None
        known = subprocess.run([pcscd, "--help"], check=False, capture_output=True, text=True).stdout
        command = [pcscd, "--foreground", "--config", "/run/ownerd-reader.conf.d"]
        command += ["--disable-polkit"] if "--disable-polkit" in known else []
        self.own = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 5
        while not PID_FILE.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)  # the reader's socket listens


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    if running.own is not None:
        running.own.terminate()
        running.own.wait(10)
        again = Service()
        again.begin()  # for whatever test comes after; the namespace takes it along when it ends


def test_a_card_taken_out_is_noticed_and_our_own_visits_are_not(piv_card: PivRig) -> None:
    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        seen = await tokens.sight(credential)
        assert seen is not None
        assert seen.trace is not None
        await tokens.approve(credential, CHALLENGE, [handle()], ui=typing(piv_card))
        assert await tokens.locate([credential]) == credential
        assert await tokens.sight(credential) == seen
        await asyncio.to_thread(piv_card.remove)
        gone = await tokens.sight(credential)
        assert gone is not None
        assert gone.trace is None

    asyncio.run(use())


def test_a_restarted_service_is_found_again_by_the_same_adapter(piv_card: PivRig, service: Service) -> None:
    async def use() -> None:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        await asyncio.to_thread(service.end)
        assert await tokens.present() == []
        with pytest.raises(TokenMissing):
            await tokens.approve(credential, CHALLENGE, [handle()], ui=typing(piv_card))
        piv_card.yank()
        await asyncio.to_thread(service.begin)
        await asyncio.to_thread(piv_card.insert)
        answer = await tokens.approve(credential, CHALLENGE, [handle()], ui=typing(piv_card))
        verify_card(answer.approval, CHALLENGE, credential)

    asyncio.run(use())


def test_an_approval_adds_at_most_ten_milliseconds_of_our_own(piv_card: PivRig) -> None:
    """CPU of this process without what the software card itself computes; both visits counted."""
    rounds = 20
    answer, of_card = piv_card.applet.transmit, [0.0]

    def timed(raw: bytes) -> bytes:
        began = time.thread_time()
        try:
            return answer(raw)
        finally:
            of_card[0] += time.thread_time() - began

    piv_card.applet.transmit = timed  # type: ignore[method-assign]

    async def use() -> float:
        tokens = piv_card.tokens()
        credential = await enrol(tokens)
        await tokens.approve(credential, CHALLENGE, [handle()], ui=typing(piv_card))
        of_card[0], began = 0.0, time.process_time()
        for _ in range(rounds):
            await tokens.approve(credential, CHALLENGE, [handle()], ui=typing(piv_card))
        return (time.process_time() - began - of_card[0]) / rounds

    own = asyncio.run(use())
    print(f"approve: {own * 1000:.1f} ms CPU of our own, {of_card[0] / rounds * 1000:.1f} ms of the card")
    assert own < 0.010
