"""Who holds which token: one hold at a time per token, every step on the token's own thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from msgspec import Struct, field

from ownerd.model.errors import Busy, PinBlocked, PinWrong, ProtocolBroken, TouchTimeout
from ownerd.tokens.candidate import Candidate, Finder
from ownerd.tokens.holders import name_card_users
from ownerd.tokens.limit import Limit
from ownerd.tokens.session import Session
from ownerd.tokens.worker import StepTimeout, Worker

T = TypeVar("T")

CLOSE_SECONDS: Final = 1.0


class Hold:
    """One token, ours alone. `step` runs one method of its `Session`; the first one opens it."""

    def __init__(self, candidate: Candidate, worker: Worker, step_timeout_seconds: float) -> None:
        self.candidate = candidate
        self._worker = worker
        self._limit = Limit()
        self._session = Session(candidate, self._limit)
        self._step_timeout_seconds = step_timeout_seconds

    async def step(
        self,
        work: Callable[[Session], T],
        *,
        touch_seconds: float | None = None,
        begin_seconds: float | None = None,
    ) -> T:
        """Run ``work`` on the token's thread.

        Raises `TouchTimeout` after ``touch_seconds``, or without a touch `ProtocolBroken` (`Busy` when the thread
        still hangs in the transport, or did not get at the token within ``begin_seconds``) after the step timeout; besides that what opening and ``work`` raise.
        """
        seconds = self._step_timeout_seconds if touch_seconds is None else touch_seconds

        def opened() -> T:
            self._session.open()
            return work(self._session)

        try:
            return await self._worker.run(opened, self._limit, seconds, begin_seconds=begin_seconds)
        except StepTimeout as error:
            if isinstance(error.__cause__, PinWrong | PinBlocked | Busy):
                raise error.__cause__ from error
            if touch_seconds is not None:
                raise TouchTimeout("the token was not touched in time") from error
            if error.abandoned:
                raise Busy(name_users(self.candidate, "the token does not come free")) from error
            raise ProtocolBroken("the token does not answer") from error

    async def close(self) -> None:
        """Close the session behind whatever still runs; waits a moment, never for a hanging thread."""
        closing = self._worker.submit(self._session.close)
        if not self._worker.stuck:
            await asyncio.wait({asyncio.wrap_future(closing)}, timeout=CLOSE_SECONDS)


def name_users(candidate: Candidate, text: str) -> str:
    """``text``, and the programs that may hold the token where its transport is shared without a lock."""
    return name_card_users(text) if candidate.transport == "pcsc" else text


class _Token(Struct):
    worker: Worker
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Holds:
    """All tokens of the process, and the threads that talk to them."""

    def __init__(
        self, finders: Sequence[Finder], step_timeout_seconds: float, logger: logging.Logger
    ) -> None:
        # A thread for each finder: listing is not thread-safe, and a hanging pcscd must not hide USB tokens.
        self._finders = [(finder, Worker("ownerd-find")) for finder in finders]
        self._step_timeout_seconds = step_timeout_seconds
        self._log = logger
        self._tokens: dict[str, _Token] = {}

    async def discover(self) -> list[Candidate]:
        """List what every finder sees now; a finder that fails or hangs is left out."""
        found = await asyncio.gather(*(self._find(finder, worker) for finder, worker in self._finders))
        candidates = [candidate for part in found for candidate in part]
        present = {candidate.id for candidate in candidates}
        for token_id in [one for one in self._tokens if one not in present]:
            token = self._tokens[token_id]
            if not token.lock.locked():
                token.worker.stop()
                del self._tokens[token_id]
        return candidates

    def in_use(self, candidate: Candidate) -> bool:
        """Whether a hold on this token is open, or its thread hangs."""
        token = self._tokens.get(candidate.id)
        return token is not None and (token.lock.locked() or token.worker.stuck)

    def is_stuck(self, candidate: Candidate) -> bool:
        """Whether this token's thread hangs."""
        token = self._tokens.get(candidate.id)
        return token is not None and token.worker.stuck

    @asynccontextmanager
    async def hold(self, candidate: Candidate) -> AsyncIterator[Hold]:
        """Hold a token. Raises `Busy` when it does not come free in time."""
        token = self._tokens.setdefault(candidate.id, _Token(Worker(f"ownerd-{candidate.id}")))
        try:
            async with asyncio.timeout(self._step_timeout_seconds):
                await token.lock.acquire()
        except TimeoutError as error:
            raise Busy("another operation uses the token") from error
        try:
            if token.worker.stuck:
                raise Busy(name_users(candidate, "the token has not come back from an earlier operation"))
            hold = Hold(candidate, token.worker, self._step_timeout_seconds)
            try:
                yield hold
            finally:
                await hold.close()
        finally:
            token.lock.release()

    async def _find(self, finder: Finder, worker: Worker) -> list[Candidate]:
        if worker.stuck:
            return []
        try:
            return await worker.run(lambda: list(finder()), Limit(), self._step_timeout_seconds)
        except StepTimeout:
            self._log.warning("looking for tokens hangs; left out")
        except Exception as error:  # noqa: BLE001 - one broken transport must not hide the others
            self._log.warning("looking for tokens failed: %s", type(error).__name__)
        return []
