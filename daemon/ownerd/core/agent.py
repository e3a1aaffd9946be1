"""The agent: every use case that the bus offers, and what all of them have in common.

Each call is put on the desk, tracked, and its failure recorded. Locking cancels what is in flight, waits
until each has failed by name and is recorded, writes the ``locked`` entry, and asks the process to end:
exit is the only wipe that CPython can promise (DESIGN section 5). Use cases are imported when they are called: a
daemon that says "locked" and ends needs none of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from ownerd.core.desk import CHANGE_PIN, PRESENT, RECEIVE, Act
from ownerd.core.failures import Failures
from ownerd.core.journal import Journal
from ownerd.core.keyslot import APPROVER
from ownerd.core.ports import Job
from ownerd.core.service import NO_WISHES, CounterOffer, Narrowing, Pending, Released, Status, Wishes
from ownerd.core.session import DeskUi, Session
from ownerd.core.shared import Shared, request_key
from ownerd.core.statement import app_label
from ownerd.core.vault_index import RECOVERY_SLOT
from ownerd.credential.jwe import new_key, public_jwk
from ownerd.model.caller import Caller, Terminal
from ownerd.model.encoding import Json
from ownerd.model.errors import Cancelled, Dismissed, InternalError, InvalidArgument, OwnerdError
from ownerd.model.names import Kind
from ownerd.model.token import TokenInfo

logger = logging.getLogger(__name__)

_CHOSEN: Final = frozenset({"entries", "claim", "provider", "before"})  # what to erase
_READ: Final = (
    frozenset({"what", "names", "id", "start", "count", "seq", "request", "approved", "values"}) | _CHOSEN
)
_CHANGE: Final = (
    frozenset({"change", "claims", "names", "token", "user_verification", "make_keys", "name", "id", "text"})
    | frozenset({"file", "replace", "older"})
    | _CHOSEN
)
_SETUP: Final = frozenset({"token", "user_verification", "make_keys"})


class Agent:
    """Implements `ownerd.core.service.AgentService`."""

    def __init__(self, session: Session, on_end: Callable[[], None]) -> None:
        self._session = session
        self._on_end = on_end
        self._key = new_key()
        self._failures = Failures(session.clock)
        self._running: set[asyncio.Task[object]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._last_use_ms = session.clock.passed_ms()
        self._enrolled = 0
        self._shared: Shared[Released | CounterOffer] = Shared()
        self._undelivered: set[int] = set()

    async def start(self) -> None:
        """Load the ledger's tail; the vault stays locked. Raises `StorageError`, `LedgerError`."""
        session = self._session
        if await session.store.exists():
            session.journal = await Journal.load(session.store, session.clock, session.rng)
            self._enrolled = len(await session.keyslots()) + len(await session.store.records(APPROVER))

    # -- what anyone may know --

    def session_key(self) -> str:
        """Public JWK of this start."""
        return json.dumps(public_jwk(self._key), separators=(",", ":"))

    def status(self) -> Status:
        """Counts and states; counts of what is sealed are 0 while locked."""
        session = self._session
        vault, journal = session.vault, session.journal
        return Status(
            set_up=journal is not None,
            unlocked=vault is not None,
            claims=len(vault.claims) if vault else 0,
            providers=len(vault.providers) if vault else 0,
            tokens=len(vault.enrolled) if vault else self._enrolled,
            entries=journal.size if journal else 0,
            pending=len(session.desk.pending()),
            recovery=journal is not None and RECOVERY_SLOT in journal.index,
        )

    async def tokens(self) -> list[TokenInfo]:
        """Tokens that are present."""
        return await self._session.tokens.present()

    def pending(self) -> Sequence[Pending]:
        """Acts that wait."""
        return self._session.desk.pending()

    def approve(
        self, caller: Caller, pending_id: str, terminal: Terminal | None, narrowing: Narrowing
    ) -> None:
        """Bring a waiting act's prompt to ``terminal``."""
        self._session.desk.approve(caller, pending_id, terminal, narrowing)

    def outcome(self, caller: Caller, pending_id: str) -> str:
        """How an act that ``caller`` approved ended: "done", or the name of its error."""
        return self._session.desk.outcome(caller, pending_id)

    def refuse(self, pending_id: str, *, today: bool = False) -> None:
        """Refuse a waiting act; with ``today`` all that its app asks until midnight."""
        act = self._session.desk.refuse(pending_id)
        if today and not act.own:
            self._session.budget.refuse_today(act.caller)

    def watch(self, terminal: Terminal | None) -> None:
        """Lend a terminal to prompts."""
        self._session.desk.watch(terminal)

    async def show_values(self, caller: Caller, job: Job) -> None:
        """Show values in prompts on the lent terminal, after a touch; unlocks first when it must."""
        from ownerd.core import owner, unlocking

        async with self._act("watch", caller, job) as act:
            await unlocking.unlock(self._session, act)
            await owner.show_values(self._session, act)

    # -- acts --

    async def present(
        self, caller: Caller, request: str, job: Job, wishes: Wishes = NO_WISHES
    ) -> Released | CounterOffer:
        """Steps 3 to 10 of a disclosure. The same request again, of the same connection, joins the first."""
        from ownerd.core import disclosure

        async def work() -> Released | CounterOffer:
            async with self._act(PRESENT, caller, job) as act:
                try:
                    outcome = await disclosure.present(self._session, act, request, wishes)
                except Dismissed:
                    self._session.budget.refused(caller)
                    raise
            if isinstance(outcome, Released):
                self._undelivered.add(outcome.entry)
            return outcome

        return await self._shared.run(request_key(caller, request, wishes), work)

    async def end_negotiation(self, caller: Caller, negotiation: str) -> None:
        """End a negotiation of the caller's. Raises `NotFound`."""
        journal = self._session.require_journal()
        ended = self._session.negotiations.end(caller.bus_name, negotiation)
        if ended.entries and journal.has_keys:
            values: dict[str, Json] = {"app": app_label(caller), "rounds": list(ended.entries)}
            facts = {"error": Cancelled.__name__}
            await journal.append(journal.draft(Kind.REFUSED, values, facts))

    async def receive(self, caller: Caller, sealed: str, job: Job) -> int:
        """Record what a provider returned."""
        from ownerd.core import receipts

        async with self._act(RECEIVE, caller, job) as act:
            return await receipts.receive(self._session, act, sealed, self._key)

    async def delivered(self, released: Released) -> None:
        """Step 11: the response was handed to the bus."""
        journal = self._session.require_journal()
        if released.entry in self._undelivered:
            self._undelivered.discard(released.entry)
            await journal.append_soon(journal.draft(Kind.DELIVERED, {}, {"entry": released.entry}))

    async def setup(self, caller: Caller, sealed: str, job: Job) -> str:
        """Make the vault and enrol the first token."""
        from ownerd.core import enrolment, owner, setup

        async with self._act("setup", caller, job) as act:
            message = owner.open_message(sealed, self._key, _SETUP)
            choice = enrolment.parse_choice(message.members)
            entry, verifier_key, credential = await setup.set_up(self._session, act, choice)
            token_shown = enrolment.shown(credential)
            return message.answer({"entry": entry, "verifier_key": verifier_key, "token": token_shown})

    async def change_pin(self, caller: Caller, token_id: str, job: Job) -> None:
        """Change a token's PIN, or set its first one. Needs no vault; the ledger has it only when it fails."""
        async with self._act(CHANGE_PIN, caller, job) as act:
            desk = self._session.desk
            async with desk.turn(act), desk.touch(act) as needed:
                await self._session.tokens.change_pin(token_id, ui=DeskUi(desk, act, needed))

    async def unlock(self, caller: Caller, job: Job) -> None:
        """Open the vault."""
        from ownerd.core import unlocking

        async with self._act("unlock", caller, job) as act:
            await unlocking.unlock(self._session, act)

    async def read(self, caller: Caller, sealed: str, job: Job) -> str:
        """Owner's read; unlocks first when it must."""
        from ownerd.core import owner, token_acts, unlocking

        async with self._act("read", caller, job) as act:
            message = owner.open_message(sealed, self._key, _READ)
            await unlocking.unlock(self._session, act)
            if message.members.get("what") in ("tokens", "token"):
                return message.answer(await token_acts.read(self._session, act, message))
            return await owner.read(self._session, act, message)

    async def change(self, caller: Caller, sealed: str, job: Job) -> str:
        """Owner's change; unlocks first when it must. A restore needs no vault, and ends the process."""
        closed: list[bool] = []
        try:
            return await self._change(caller, sealed, job, lambda: closed.append(True))
        finally:
            if closed:
                self.lock("restored")

    async def _change(self, caller: Caller, sealed: str, job: Job, on_close: Callable[[], None]) -> str:
        from ownerd.core import anchor_acts, asker_acts, keeping, owner, restoring, token_acts, unlocking

        async with self._act("change", caller, job) as act:
            message = owner.open_message(sealed, self._key, _CHANGE)
            if message.members.get("change") == "restore":
                wanted = restoring.parse_wanted(message.members)
                outcome = await restoring.restore(self._session, act, message.tool, wanted, on_close)
                return message.answer(outcome)
            await unlocking.unlock(self._session, act)
            change = message.members.get("change")
            if not isinstance(change, str):
                raise InvalidArgument("the message names no change")
            for family in (token_acts, anchor_acts, asker_acts, keeping):
                if change in family.CHANGES:
                    return message.answer(await family.change(self._session, act, message))
            return await owner.change(self._session, act, message)

    async def recover(self, caller: Caller, sealed: str, job: Job) -> str:
        """Enrol a token with the recovery code, and lock: recovery leaves nothing open."""
        from ownerd.core import enrolment, owner, recovery

        session = self._session
        try:
            async with self._act("recover", caller, job) as act:
                message = owner.open_message(sealed, self._key, _SETUP)
                choice = enrolment.parse_choice(message.members)
                outcome = await recovery.recover(session, act, message.tool, choice)
                return message.answer(outcome)
        finally:
            if session.vault is None and session.journal is not None and session.journal.has_keys:
                self.lock("recovery")

    # -- the end --

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last act ended; 0 while one runs, and while there is nothing to lock."""
        if self._running or self._session.vault is None:
            return 0.0
        return (self._session.clock.passed_ms() - self._last_use_ms) / 1000

    def lock(self, reason: str) -> None:
        """Lock: fail what is in flight, record it, end the process. Calling it again changes nothing."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end(reason))

    async def _end(self, reason: str) -> None:
        from ownerd.core import anchoring

        for task in self._running:
            task.cancel()
        while self._running:
            await asyncio.wait(set(self._running))
        session = self._session
        try:
            await self._record_lock(reason)
            session.vault = None
            await session.store.close()
            await anchoring.renew_last(session)
        except OwnerdError as error:
            # A disk that takes no entry must not keep the keys in memory.
            logger.warning("the lock is not recorded, or the files are not closed: %s", error)
        finally:
            self._on_end()

    async def _record_lock(self, reason: str) -> None:
        journal = self._session.journal
        if journal is not None and journal.has_keys:
            await journal.append(journal.draft(Kind.LOCKED, {}, {"reason": reason}))

    @asynccontextmanager
    async def _act(self, kind: str, caller: Caller, job: Job) -> AsyncIterator[Act]:
        """Put a call on the desk, track it, and record how it failed."""
        if self._ending is not None:
            raise Cancelled("the agent is locking")
        task = asyncio.current_task()
        if task is None:
            raise InternalError("an act runs as a task")
        self._running.add(task)
        try:
            with self._session.desk.open(kind, caller, job) as act:
                try:
                    yield act
                except OwnerdError as error:
                    await self._record(act, error)
                    raise
                except asyncio.CancelledError:
                    await self._record(act, Cancelled("cancelled"))
                    if self._ending is not None:
                        raise Cancelled("the agent locked") from None
                    raise
        finally:
            self._running.discard(task)
            self._last_use_ms = self._session.clock.passed_ms()

    async def _record(self, act: Act, error: OwnerdError) -> None:
        journal = self._session.journal
        if journal is not None:
            await self._failures.record(journal, act, error)
