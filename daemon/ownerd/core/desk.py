"""The desk: where acts wait for the owner. One prompt and one touch at a time.

Owns the list of waiting acts, the choice of the terminal, and the wording of who waits for what. Trusts its
callers for the text: it is rendered from the statement that will be signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from msgspec import Struct, field

from ownerd.core import wording
from ownerd.core.cancelling import end, unless_refused
from ownerd.core.ports import PIN_TRIES_AT_RISK, Clock, Job, PromptPort, Typed
from ownerd.core.service import Narrowing, Pending
from ownerd.core.turns import Turns
from ownerd.model.caller import Caller, Terminal
from ownerd.model.clock import format_time
from ownerd.model.encoding import Json
from ownerd.model.errors import (
    Busy,
    Cancelled,
    Dismissed,
    InternalError,
    InvalidArgument,
    NotAllowed,
    NotFound,
    OwnerdError,
    PinAtRisk,
    PinUnfit,
    TimedOut,
)
from ownerd.model.names import Progress
from ownerd.model.secret import Secret
from ownerd.model.token import TokenInfo

PROMPT_SECONDS: Final = 120.0
WAIT_SECONDS: Final = 600.0
MAX_WAITING: Final = 64
MAX_ENDED: Final = 64
DONE: Final = "done"
NEW_PIN_ROUNDS: Final = 3
CHANGE_PIN: Final = wording.CHANGE_PIN
PRESENT: Final = "present"
RECEIVE: Final = "receive"
APPS: Final = frozenset({PRESENT, RECEIVE})
NO_NARROWING: Final = Narrowing()


class Act(Struct, eq=False):
    """One call that needs the owner: mutable, as the owner may approve, narrow or refuse it from elsewhere.

    ``notes`` are the values that its entry commits to should it be refused or fail. ``purpose`` says what its
    operations are for, to follow "to", where its kind says too little. ``agreed``: the owner has confirmed it.
    ``approver`` is the bus name of who asked last for its prompt.
    """

    id: str
    kind: str
    caller: Caller
    job: Job
    since: str
    state: str = ""
    terminal: Terminal | None = None
    narrowing: Narrowing = NO_NARROWING
    refused: bool = False
    has_turn: bool = False
    purpose: str = ""
    agreed: bool = False
    approver: str = ""
    operations: wording.Operations = field(default_factory=wording.Operations)
    notes: dict[str, Json] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def own(self) -> bool:
        """Whether the owner's tool asks, and not an app."""
        return self.kind not in APPS

    def report(self, state: Progress, **details: str | int) -> None:
        """Say what this act waits for, before it waits."""
        self.state = state.value
        self.job.progress(state, {"id": self.id, **details})


class Desk:
    """Waiting acts, prompts and touches. See the module docstring."""

    def __init__(
        self,
        prompts: PromptPort,
        clock: Clock,
        *,
        prompt_seconds: float = PROMPT_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._prompts = prompts
        self._clock = clock
        self._prompt_seconds = prompt_seconds
        self._wait_seconds = wait_seconds
        self._acts: dict[str, Act] = {}
        self._ended: dict[str, tuple[str, str]] = {}  # who approved it, and how it ended
        self._count = 0
        self._turns = Turns()
        self._watching: Terminal | None = None
        self._watching_values = False

    # -- the list --

    @contextmanager
    def open(self, kind: str, caller: Caller, job: Job) -> Iterator[Act]:
        """Put an act on the list while the block runs. Raises `Busy` when the list is full."""
        self._count += 1
        since = format_time(self._clock.now_ms())
        act = Act(str(self._count), kind, caller, job, since, terminal=job.terminal)
        # Counted apart, so that apps cannot fill the owner's places.
        if sum(one.own == act.own for one in self._acts.values()) >= MAX_WAITING:
            raise Busy("too many requests wait for the owner")
        self._acts[act.id] = act
        outcome = Cancelled.__name__
        try:
            yield act
            outcome = DONE
        except OwnerdError as error:
            outcome = type(error).__name__
            raise
        except Exception:
            outcome = InternalError.__name__
            raise
        finally:
            del self._acts[act.id]
            if act.approver:
                self._ended[act.id] = act.approver, outcome
            while len(self._ended) > MAX_ENDED:
                del self._ended[next(iter(self._ended))]

    def pending(self) -> list[Pending]:
        """Acts that wait, oldest first; names no provider and no value."""
        return [
            Pending(act.id, act.kind, act.caller.label, act.caller.confidence.value, act.state, act.since)
            for act in self._acts.values()
        ]

    def outcome(self, caller: Caller, act_id: str) -> str:
        """How one of the newest acts that ``caller`` approved ended: `DONE`, or the name of its error.

        Raises `NotFound`, also while it waits.
        """
        approver, outcome = self._ended.get(act_id, ("", ""))
        if not approver or approver != caller.bus_name:
            raise NotFound("no such request that you approved has ended, or it is long ago")
        return outcome

    def approve(self, caller: Caller, act_id: str, terminal: Terminal | None, narrowing: Narrowing) -> None:
        """Show the act's prompt on ``terminal``, changed by ``narrowing``. Raises `NotFound`."""
        act = self._find(act_id)
        act.approver = caller.bus_name
        act.terminal = terminal or act.terminal
        act.narrowing = narrowing
        act.changed.set()

    def refuse(self, act_id: str) -> Act:
        """Refuse the act, and return it. Raises `NotFound`."""
        act = self._find(act_id)
        act.refused = True
        act.changed.set()
        act.refusal.set()
        return act

    def watch(self, terminal: Terminal | None) -> None:
        """Lend a terminal to all prompts that have none; values are not shown there before `show_values`."""
        self._watching = terminal
        self._watching_values = False
        for act in self._acts.values():
            act.changed.set()

    def show_values(self, terminal: Terminal | None) -> None:
        """Show values on the lent ``terminal`` from now on; a touch has allowed it. Raises `NotAllowed`."""
        if terminal is None or terminal != self._watching:
            raise NotAllowed("the terminal is not the one that is lent to prompts")
        self._watching_values = True

    def _find(self, act_id: str) -> Act:
        try:
            return self._acts[act_id]
        except KeyError as error:
            raise NotFound("no such request is waiting") from error

    # -- the owner's turn --

    @asynccontextmanager
    async def turn(self, act: Act) -> AsyncIterator[None]:
        """Hold the one prompt and the one touch. Raises `TimedOut`, `Dismissed` while waiting for it."""
        await self._take_turn(act)
        try:
            yield
        finally:
            self._end_turn(act)

    async def _take_turn(self, act: Act) -> None:
        self._require_standing(act)
        if self._turns.take():
            act.has_turn = True
            return
        act.report(Progress.WAITING_FOR_OWNER)
        place = self._turns.join(own=act.own)
        try:
            await self._until(act, place)
        except BaseException:
            # Also in the very moment in which the turn came: or nobody ever gets it.
            self._turns.leave(place)
            raise
        act.has_turn = True

    def _end_turn(self, act: Act) -> None:
        if act.has_turn:
            act.has_turn = False
            self._turns.release()

    async def confirm(self, act: Act, text: Callable[[Narrowing, bool], str], verb: str = "Approve") -> None:
        """Show ``text(act.narrowing, values_shown)`` until the owner decides; anew when the owner narrows.

        An app's prompt gives way to an act of the owner's own.

        Raises `Dismissed` when refused, `TimedOut`.
        """
        while True:
            terminal = await self._terminal(act)
            act.changed.clear()
            act.report(Progress.WAITING_FOR_OWNER)
            prompt = asyncio.ensure_future(
                self._prompts.confirm(
                    terminal,
                    description=text(act.narrowing, self._may_show_values(act, terminal)),
                    approve_label=verb,
                    refuse_label="Refuse",
                    timeout_seconds=self._prompt_seconds,
                )
            )
            # The owner's own prompts give way to nobody.
            events = (act.changed,) if act.own else (act.changed, self._turns.wanted)
            waiting = [prompt, *(asyncio.ensure_future(event.wait()) for event in events)]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if prompt.done():
                    if prompt.result():
                        act.agreed = True
                        return
                    raise Dismissed("the owner refused")
            finally:
                await end(*waiting)
            self._require_standing(act)
            if not act.own and self._turns.wanted.is_set():
                self._end_turn(act)
                await self._take_turn(act)

    async def pin(self, act: Act, token: TokenInfo) -> Secret:
        """Ask for a token's PIN, saying how many tries are left. Raises `PinAtRisk` instead when few are.

        Only a change of PIN goes on then, once the owner has confirmed: the right PIN restores the tries.
        """
        if token.pin_tries is not None and token.pin_tries <= PIN_TRIES_AT_RISK:
            if act.kind != CHANGE_PIN:
                raise PinAtRisk(tries_left=token.pin_tries)
            risk = wording.risk(token.name, token.pin_tries)
            await self.confirm(act, lambda _narrowing, _shown: risk, "Go on")
        tries = "" if token.pin_tries is None else f"\n{wording.tries(token.pin_tries)} left."
        return await self._ask_pin(act, token, f"PIN of {token.name}, to {_what_for(act, token)}.{tries}")

    async def new_pin(self, act: Act, token: TokenInfo) -> Secret:
        """Ask for a token's new PIN until it was typed twice alike. Raises `PinUnfit` when that never comes."""
        unlike = ""
        for _ in range(NEW_PIN_ROUNDS):
            try:
                typed = await self._ask_pin(act, token, f"New PIN of {token.name}.{unlike}")
                again = await self._ask_pin(act, token, f"New PIN of {token.name}, once more.")
            except InvalidArgument as error:  # what the prompt says of a PIN that no token can have
                raise PinUnfit(str(error)) from error
            if typed == again:
                return typed
            unlike = "\nThe two were not alike, and nothing has changed yet."
        raise PinUnfit("the new PIN was not typed twice alike")

    async def _ask_pin(self, act: Act, token: TokenInfo, description: str) -> Secret:
        terminal = await self._terminal(act)
        act.report(Progress.WAITING_FOR_PIN, token=token.name, purpose=_what_for(act, token))
        return await self._prompts.pin(
            terminal, description=description, timeout_seconds=self._prompt_seconds
        )

    async def say(self, act: Act, text: str, label: str) -> None:
        """Show ``text`` until the owner confirms having read it. Raises `Dismissed`, `TimedOut`."""
        terminal = await self._terminal(act)
        act.report(Progress.WAITING_FOR_OWNER)
        shown = await self._prompts.confirm(
            terminal,
            description=text,
            approve_label=label,
            refuse_label="Stop",
            timeout_seconds=self._wait_seconds,
        )
        if not shown:
            raise Dismissed("the owner stopped")

    async def ask(self, act: Act, question: str, asks: Typed = "Code") -> Secret:
        """Let the owner type something that is not echoed. Raises `Dismissed`, `TimedOut`."""
        terminal = await self._terminal(act)
        act.report(Progress.WAITING_FOR_OWNER)
        return await self._prompts.pin(
            terminal, description=question, timeout_seconds=self._wait_seconds, asks=asks
        )

    @asynccontextmanager
    async def touch(self, act: Act) -> AsyncIterator[Callable[[TokenInfo, float], None]]:
        """While a token works: yields what is to be called before its light blinks.

        Refusing the act cancels the block, and with it the operation at the token; raises `Dismissed` then.
        """
        notes: list[asyncio.Task[None]] = []
        act.operations.begin()

        def needed(token: TokenInfo, timeout_seconds: float) -> None:
            reason = _what_for(act, token)
            act.report(
                Progress.WAITING_FOR_TOUCH,
                token=token.name,
                timeout_seconds=int(timeout_seconds),
                purpose=reason,
            )
            notes.append(asyncio.ensure_future(self._prompts.touch_wanted(token.name, reason)))

        try:
            async with unless_refused(act.refusal):
                yield needed
        finally:
            if notes:
                await asyncio.gather(*notes, self._prompts.touch_done(), return_exceptions=True)

    async def wait_for(self, act: Act, event: asyncio.Event, state: Progress) -> None:
        """Wait until ``event``, listening to a refusal. Raises `TimedOut`, `Dismissed`."""
        act.report(state)
        await self._until(act, asyncio.ensure_future(event.wait()))

    async def warn(self, sentence: str) -> None:
        """Tell the owner of something that may be an attack; ``sentence`` names no provider and no value."""
        await self._prompts.touch_wanted("", f"refused: {sentence}; see ownerctl ledger log")

    async def notify_waiting(self, act: Act) -> None:
        """Tell the owner that something waits for an unlock."""
        await self._prompts.touch_wanted("", f"a request waits: run ownerctl unlock ({act.kind})")

    def _may_show_values(self, act: Act, terminal: Terminal | None) -> bool:
        """Whether a prompt on ``terminal`` may show what is in the vault.

        Any process of the user can lend a pseudo-terminal and read its other side. So values are shown on
        the desktop's own display, on a lent terminal after a touch, and to the tool that sent them itself.
        """
        if terminal is None:
            return True
        if terminal == self._watching and self._watching_values:
            return True
        return act.kind == "change" and terminal == act.job.terminal

    async def _terminal(self, act: Act) -> Terminal | None:
        while True:
            self._require_standing(act)
            for terminal in (act.terminal, self._watching):
                if terminal is not None and self._prompts.can_prompt(terminal):
                    return terminal
            if self._prompts.can_prompt(None):
                return None
            act.changed.clear()
            act.report(Progress.WAITING_FOR_TERMINAL)
            # Whoever comes next may have a terminal. What the owner has begun is not left in the middle.
            leaves = act.has_turn and not act.agreed
            if leaves:
                self._end_turn(act)
            await self._until(act, asyncio.ensure_future(act.changed.wait()))
            if leaves:
                await self._take_turn(act)

    async def _until(self, act: Act, work: asyncio.Future[Any]) -> None:
        """Await ``work``, at most the waiting time, ending early when the act is refused."""
        deadline = asyncio.get_running_loop().time() + self._wait_seconds
        try:
            while not work.done():
                self._require_standing(act)
                act.changed.clear()
                changed = asyncio.ensure_future(act.changed.wait())
                left = deadline - asyncio.get_running_loop().time()
                try:
                    done, _ = await asyncio.wait(
                        {work, changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    await end(changed)
                if not done:
                    raise TimedOut("nobody answered in time")
        finally:
            if not work.done():
                await end(work)

    @staticmethod
    def _require_standing(act: Act) -> None:
        if act.refused:
            raise Dismissed("the owner refused")


def _what_for(act: Act, token: TokenInfo) -> str:
    return act.operations.describe(wording.purpose(act.kind, act.purpose, agreed=act.agreed), token)
