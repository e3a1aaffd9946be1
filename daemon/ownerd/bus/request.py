"""Request objects: one per asked-for act, like xdg-desktop-portal's.

A request exists for its caller alone: it is not exported, so that it is neither announced nor listed; the
raw message handler answers ``Cancel`` and ``Introspect`` from its owner, and for everybody else there is no
such object. ``Progress`` and ``Response`` are sent to the owner's unique name and to nobody else.

The method that opens a request is synchronous, so its reply (the path) is queued before the request's task
takes its first step: no signal can overtake it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct, field

from ownerd.bus.caller import Callers
from ownerd.bus.guard import error_message, known_error
from ownerd.bus.options import Options
from ownerd.core.ports import Job
from ownerd.dbuslib import (
    Message,
    MessageBus,
    Variant,
    introspection,
)
from ownerd.model import names
from ownerd.model.caller import Caller
from ownerd.model.errors import Busy, Cancelled, InvalidArgument, OwnerdError

DONE: Final = 0
REFUSED: Final = 1
FAILED: Final = 2
COUNTER_OFFER: Final = 3
APPS: Final = "apps"  # the pool of those who are not the owner
DELIVERY_SECONDS: Final = 0.02
_EXIT_REFUSED: Final = 3


class Limits(Struct, frozen=True):
    """How many requests may live at once: all together, and of one app (by connection and by label)."""

    total: int = 64
    per_app: int = 8


class Answer(Struct, frozen=True):
    """What a request yields. ``sent`` is awaited once the Response was handed to a caller who was there.

    ``code`` is `DONE`, or `COUNTER_OFFER` where the caller has to go on.
    """

    results: dict[str, Variant]
    sent: Callable[[], Awaitable[None]] | None = None
    code: int = DONE


Work = Callable[[Caller, Job], Awaitable[Answer]]


class _Request(Struct, eq=False):
    path: str
    sender: str
    pool: str
    app: tuple[str, str] | None = None
    task: asyncio.Task[Answer] | None = None
    gone: bool = False
    ended: bool = False


class RequestTable(Struct, eq=False):
    """All live requests of the daemon. ``pool`` keeps apps from using up the owner's tools' share."""

    bus: MessageBus
    callers: Callers
    limits: Limits = field(default_factory=Limits)
    _live: dict[str, _Request] = field(default_factory=dict)
    _sent: list[tuple[str, Callable[[], Awaitable[None]]]] = field(default_factory=list)
    _deliveries: set[asyncio.Task[None]] = field(default_factory=set)
    _beginning: asyncio.Lock = field(default_factory=asyncio.Lock)

    def open(self, sender: str, options: Options, work: Work, *, pool: str) -> str:
        """Start ``work`` and return the request's object path.

        Raises `Busy` over a limit, `InvalidArgument` when the caller uses its ``handle_token`` already.
        """
        mates = [request for request in self._live.values() if request.pool == pool]
        if len(mates) >= self.limits.total:
            raise Busy("too many requests at once")
        if sum(request.sender == sender for request in mates) >= self.limits.per_app:
            raise Busy("too many requests of this app at once")
        path = request_path(sender, options.handle_token or secrets.token_hex(8))
        if path in self._live:
            raise InvalidArgument("option handle_token names a request that is still open")
        request = _Request(path, sender, pool)
        self._live[path] = request
        request.task = asyncio.get_running_loop().create_task(self._run(request, options, work))
        request.task.add_done_callback(lambda task: self._end(request, task))
        return path

    async def _run(self, request: _Request, options: Options, work: Work) -> Answer:
        if request.pool == APPS:
            # One begins after the other: under a flood prompts and tokens have their turns in between.
            async with self._beginning:
                await asyncio.sleep(0)
        caller = await self.callers.look_up(request.sender)
        app = (caller.label, caller.confidence)
        same = [r for r in self._live.values() if r.pool == request.pool and r.app == app]
        if len(same) >= self.limits.per_app:
            raise Busy("too many requests of this app at once")
        request.app = app

        def progress(state: names.Progress, details: dict[str, str | int]) -> None:
            if not request.ended:
                body = [state.value, {key: _variant(value) for key, value in details.items()}]
                self._signal(request, "Progress", "sa{sv}", body)

        return await work(caller, Job(progress=progress, terminal=options.terminal(caller)))

    def _end(self, request: _Request, task: asyncio.Task[Answer]) -> None:
        request.ended = True
        del self._live[request.path]
        error = Cancelled("the request was cancelled") if task.cancelled() else task.exception()
        if error is not None:
            self._respond_error(request, error)
            return
        answer = task.result()
        try:
            responded = self._respond(request, answer.code, answer.results)
        except Exception as unsendable:  # noqa: BLE001 -- the caller must hear of the end in any case
            self._respond_error(request, unsendable)
            return
        if responded and answer.sent is not None:
            self._sent.append((request.sender, answer.sent))
            if len(self._sent) == 1:
                delivery = asyncio.get_running_loop().create_task(self._deliver())
                self._deliveries.add(delivery)
                delivery.add_done_callback(self._deliveries.discard)

    def _respond_error(self, request: _Request, error: BaseException) -> None:
        known = known_error(error)
        code = REFUSED if known.exit_code == _EXIT_REFUSED else FAILED
        self._respond(request, code, error_results(known))

    def _respond(self, request: _Request, code: int, results: dict[str, Variant]) -> bool:
        """Send the Response; False when there is nobody to send it to."""
        if request.gone:
            return False
        return self._signal(request, "Response", "ua{sv}", [code, results])

    async def _deliver(self) -> None:
        """Find out which of the answers of a moment have arrived, with one question for each of their callers."""
        await asyncio.sleep(DELIVERY_SECONDS)
        sent, self._sent = self._sent, []
        # Messages of one connection keep their order: if the caller is there when this is answered, the
        # bus has put the Response, which came before, into its queue.
        there = {sender: await self.callers.is_present(sender) for sender in {one for one, _ in sent}}
        arrived = (done() for sender, done in sent if there[sender])
        for error in await asyncio.gather(*arrived, return_exceptions=True):
            if error is not None:
                known_error(error)  # nobody is left to tell

    def _signal(self, request: _Request, member: str, signature: str, body: list[Any]) -> bool:
        if not self.bus.connected:
            return False
        message = Message.new_signal(request.path, names.REQUEST_INTERFACE, member, signature, body)
        message.destination = request.sender
        self.bus.send(message).add_done_callback(_swallow)
        return True

    # -- from the bus --

    def cancel(self, sender: str, path: str) -> bool:
        """Cancel the caller's own request; False when there is none of its."""
        request = self._live.get(path)
        if request is None or request.sender != sender:
            return False
        if request.task is not None:
            request.task.cancel()
        return True

    def has(self, sender: str, path: str) -> bool:
        """Whether the caller has a live request there."""
        request = self._live.get(path)
        return request is not None and request.sender == sender

    def drop_caller(self, sender: str) -> None:
        """Cancel all requests of a caller that left the bus; it gets no Response."""
        for request in list(self._live.values()):
            if request.sender == sender:
                request.gone = True
                if request.task is not None:
                    request.task.cancel()

    async def close(self) -> None:
        """Cancel everything, and wait until all is answered and recorded."""
        tasks = [request.task for request in self._live.values() if request.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.gather(*self._deliveries, return_exceptions=True)


def request_path(sender: str, token: str) -> str:
    """Object path of a request: predictable, so that the caller can subscribe before it calls."""
    return f"{names.REQUEST_PATH_PREFIX}/{sender.removeprefix(':').replace('.', '_')}/{token}"


def error_results(error: OwnerdError) -> dict[str, Variant]:
    """Results of a Response that carries an error."""
    return {
        "error": Variant("s", error.id),
        "message": Variant("s", error_message(error)),
        "hint": Variant("s", error.hint),
    }


def request_introspection() -> str:
    """Introspection XML of a Request object."""
    arg, out = introspection.Arg, None
    interface = introspection.Interface(
        names.REQUEST_INTERFACE,
        methods=[introspection.Method("Cancel")],
        signals=[
            introspection.Signal("Progress", [arg("s", out, "state"), arg("a{sv}", out, "details")]),
            introspection.Signal("Response", [arg("u", out, "code"), arg("a{sv}", out, "results")]),
        ],
    )
    return introspection.Node(None, [interface]).tostring()


def _variant(value: str | int) -> Variant:
    return Variant("s", value) if isinstance(value, str) else Variant("x", value)


def _swallow(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
