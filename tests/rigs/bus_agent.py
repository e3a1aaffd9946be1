"""A fake `AgentService` whose behaviour each request text chooses, and the process that serves it.

Run as ``python -m tests.rigs.bus_agent ADDRESS CALLS``: prints ``ready`` (or the error's name and message),
writes one JSON line a call into the file CALLS, ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ownerd.core.ports import Job
from ownerd.core.service import CounterOffer, Narrowing, Pending, Released, Status, Wishes
from ownerd.model import errors
from ownerd.model.caller import Caller, Terminal
from ownerd.model.names import Progress
from ownerd.model.token import TokenInfo

OFFER = '{"v":1,"negotiation":"n-1","round":1}'
NO_WISHES = Wishes()
CANARY_JWE = "eyJhbGciOiJFQ0RILUVTIn0..CANARY.CIPHERTEXT.TAG"


class FakeAgent:
    """Does what the JSON in a request says: ``do`` is release, wait, hold, raise, bug or odd."""

    def __init__(self, calls: Path) -> None:
        self._calls = calls
        self.locked = asyncio.Event()
        self._negotiations: dict[str, str] = {}
        self._session_key_bug: str | None = None

    def note(self, *what: object) -> None:
        with self._calls.open("a") as file:
            file.write(json.dumps(what) + "\n")

    async def _act(self, what: str, caller: Caller, text: str, job: Job) -> str:
        tty = None if job.terminal is None else [job.terminal.tty, job.terminal.term, job.terminal.locale]
        self.note(what, caller.bus_name, caller.uid, caller.label, caller.confidence, tty)
        plan = json.loads(text) if text.startswith("{") else {}
        self._session_key_bug = plan.get("session_key_bug")
        for state, details in plan.get("progress", []):
            job.progress(Progress(state), details)
        match plan.get("do", "release"):
            case "wait":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.note("cancelled", what)
                    raise
            case "hold":  # a commit that is under way is not undone by a cancel
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.note("held", what)
            case "raise":
                raise errors.error_table()[plan["error"]](plan.get("message", "told so"))
            case "bug":
                secret = plan["text"]
                raise ValueError(f"bad {secret}") from KeyError(secret)
            case "odd":
                return 7  # type: ignore[return-value]
        for _ in range(plan.get("burst", 0)):
            job.progress(Progress.RECORDING, {"text": "x" * 300_000})
        return plan.get("answer", CANARY_JWE)

    def session_key(self) -> str:
        if self._session_key_bug is not None:
            raise RuntimeError(self._session_key_bug)
        return '{"kty":"EC"}'

    def status(self) -> Status:
        return Status(
            set_up=True, unlocked=False, claims=3, providers=2, tokens=1, entries=9, pending=1, recovery=True
        )

    async def present(
        self, caller: Caller, request: str, job: Job, wishes: Wishes = NO_WISHES
    ) -> Released | CounterOffer:
        """``"offer": ID`` answers with a counter-offer of that negotiation, which is then this caller's."""
        if wishes != NO_WISHES:
            self.note("wishes", wishes.negotiate, wishes.negotiation, wishes.accept, wishes.ask)
        answer = await self._act("present", caller, request, job)
        offered = json.loads(request).get("offer") if request.startswith("{") else None
        if offered is not None and wishes.negotiate and not wishes.accept:
            self._negotiations[offered] = caller.bus_name
            return CounterOffer(offered, OFFER, 40)
        return Released(answer, 41)

    async def end_negotiation(self, caller: Caller, negotiation: str) -> None:
        if self._negotiations.get(negotiation) != caller.bus_name:
            raise errors.NotFound("no such negotiation")
        del self._negotiations[negotiation]
        self.note("ended", negotiation)

    async def receive(self, caller: Caller, sealed: str, job: Job) -> int:
        await self._act("receive", caller, sealed, job)
        return 43

    async def delivered(self, released: Released) -> None:
        self.note("delivered", released.entry)

    async def setup(self, caller: Caller, sealed: str, job: Job) -> str:
        return await self._act("setup", caller, sealed, job)

    async def unlock(self, caller: Caller, job: Job) -> None:
        await self._act("unlock", caller, "", job)

    def lock(self, reason: str) -> None:
        self.note("lock", reason)
        self.locked.set()

    async def tokens(self) -> list[TokenInfo]:
        return [
            TokenInfo("t1", "key", "usb", "00", 5, has_pin=True, pin_tries=8, software=False),
            TokenInfo("t2", "soft", "software", "01", 1, has_pin=False, pin_tries=None, software=True),
        ]

    async def change_pin(self, caller: Caller, token_id: str, job: Job) -> None:
        self.note("pin of", token_id)
        await self._act("change_pin", caller, "", job)

    async def read(self, caller: Caller, sealed: str, job: Job) -> str:
        return await self._act("read", caller, sealed, job)

    async def change(self, caller: Caller, sealed: str, job: Job) -> str:
        return await self._act("change", caller, sealed, job)

    async def recover(self, caller: Caller, sealed: str, job: Job) -> str:
        return await self._act("recover", caller, sealed, job)

    def pending(self) -> Sequence[Pending]:
        return [Pending("7", "disclosure", "app", "scope", "waiting-for-owner", "2026-11-23T14:00:00.123Z")]

    def approve(
        self, _caller: Caller, pending_id: str, terminal: Terminal | None, narrowing: Narrowing
    ) -> None:
        without, grant = sorted(narrowing.without), narrowing.grant
        more = [] if narrowing.retention_days is None else [narrowing.retention_days]
        more += [] if grant is None else [[grant.days, grant.count, grant.per_hour]]
        self.note("approve", pending_id, None if terminal is None else terminal.tty, without, *more)

    def outcome(self, _caller: Caller, pending_id: str) -> str:
        if pending_id != "7":
            raise errors.NotFound("no such request")
        return "Dismissed"

    def refuse(self, pending_id: str, *, today: bool = False) -> None:
        if pending_id == "bug":
            raise RuntimeError("PIN 1234")
        if pending_id != "7":
            raise errors.NotFound("no such request")
        self.note("refuse", pending_id, *(["today"] if today else []))

    def watch(self, terminal: Terminal | None) -> None:
        self.note("watch", None if terminal is None else terminal.tty)

    async def show_values(self, caller: Caller, job: Job) -> None:
        await self._act("show_values", caller, "", job)


async def _serve(address: str, calls: Path, own_uid: int | None) -> None:
    from ownerd.bus.service import BusService

    agent = FakeAgent(calls)
    service = BusService(agent, own_uid=own_uid)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        await service.start(address)
    except errors.OwnerdError as error:
        print(error.id, error, flush=True)
        return
    print("ready", flush=True)
    ends = [
        asyncio.ensure_future(e) for e in (service.wait_for_disconnect(), stop.wait(), agent.locked.wait())
    ]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    await service.stop()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None))
