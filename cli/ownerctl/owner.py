"""The owner's conversation with the daemon: status, sealed questions and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ownerctl import render
from ownerctl.client import Client, connect
from ownerctl.errors import BadAnswer, ForeignAgent
from ownerctl.options import Output
from ownerctl.progress import ProgressLine
from ownerctl.terminal import terminal_options
from ownerd.model.encoding import Json

if TYPE_CHECKING:
    from ownerctl.entry_pages import EntryPages
    from ownerctl.sealed import Channel

Result = TypeVar("Result")

_OFFLINE_HINT = "run ownerctl unlock, or ownerctl ledger log --offline for kinds and times"


class Owner:
    """One command's conversation. Made by `owner`."""

    def __init__(self, client: Client, output: Output) -> None:
        self.client = client
        self.output = output
        self.terminal = terminal_options()

    def progress(self) -> ProgressLine:
        """A progress line that keeps off the terminal that is lent."""
        return ProgressLine(verbose=self.output.verbose, lent_tty=self.terminal.get("tty"))

    async def status(self) -> dict[str, Any]:
        """Counts and states."""
        (found,) = await self.client.owner_call("Agent", "Status")
        if not isinstance(found, dict):
            raise BadAnswer("the status is not a dictionary")
        return found

    async def require_unlocked(self) -> dict[str, Any]:
        """`status`. Raises `NotSetUp`, `StillLocked`."""
        from ownerctl.errors import StillLocked
        from ownerd.model.errors import NotSetUp

        found = await self.status()
        if not found.get("set_up"):
            raise NotSetUp("there is no vault yet")
        if not found.get("unlocked"):
            raise StillLocked(
                "the vault is locked; entries are shown by the open vault alone", hint=_OFFLINE_HINT
            )
        return found

    async def ask(self, interface: str, member: str, *texts: str) -> dict[str, Any]:
        """Ask through a Request object, showing progress and lending the terminal."""
        async with self.progress() as line:
            return await self.client.owner_ask(interface, member, texts, self.terminal, line)

    async def sealed(self, interface: str, member: str, message: Mapping[str, Json]) -> dict[str, Json]:
        """Ask with a sealed message; returns the opened answer.

        Raises `ForeignAgent`, naming the process that holds the name, when the daemon's key is not the one
        in the runtime directory.
        """
        return await self.sealed_by(await self.channel(), interface, member, message)

    async def channel(self) -> Channel:
        """A key of this command's, for several questions. Raises as `sealed`."""
        from ownerctl.sealed import Channel

        return Channel(await self._recipient())

    async def sealed_by(
        self, channel: Channel, interface: str, member: str, message: Mapping[str, Json]
    ) -> dict[str, Json]:
        """`sealed`, with the key of ``channel``."""
        results = await self.ask(interface, member, channel.seal(message))
        answer = results.get("sealed")
        if not isinstance(answer, str):
            raise BadAnswer("the daemon gave no sealed answer")
        return channel.open(answer)

    async def entries(self, start: int, count: int) -> EntryPages:
        """Read entries after one touch, to be had in pages from then on. Raises as `sealed`."""
        from ownerctl.entry_pages import EntryPages

        return await EntryPages.read(self, start, count)

    async def hand_in(self, message: Mapping[str, Json]) -> dict[str, Any]:
        """Hand in a receipt, sealed; returns the results. Raises as `sealed`."""
        from ownerctl.sealed import seal_without_answer

        sealed = seal_without_answer(message, await self._recipient())
        async with self.progress() as line:
            return await self.client.app_ask("Receive", sealed, self.terminal, line)

    async def _recipient(self) -> dict[str, Json]:
        from ownerctl.sealed import require_session_key  # brings cryptography, which status is too quick for

        try:
            return require_session_key(await self.client.session_key())
        except ForeignAgent as error:
            pid = await self.client.owner_pid()
            hint = f"process {pid} holds the name on the bus; end it, then start ownerd" if pid else ""
            raise ForeignAgent(str(error), hint=hint) from error


@asynccontextmanager
async def owner(output: Output) -> AsyncIterator[Owner]:
    """Connect for one command."""
    async with connect() as client:
        yield Owner(client, output)


def converse(output: Output, work: Callable[[Owner], Awaitable[Result]]) -> Result:
    """Run ``work`` on a fresh connection."""

    async def conversation() -> Result:
        async with owner(output) as found:
            return await work(found)

    return asyncio.run(conversation())


def read(output: Output, message: Mapping[str, Json], *, unlocked: bool = False) -> dict[str, Json]:
    """One sealed read on a fresh connection, with ``unlocked`` of an open vault alone. Raises as `Owner.sealed`."""
    return _sealed(output, "Read", message, unlocked=unlocked)


def change(output: Output, message: Mapping[str, Json], *, unlocked: bool = False) -> dict[str, Json]:
    """One sealed change; see `read`."""
    return _sealed(output, "Change", message, unlocked=unlocked)


def _sealed(output: Output, member: str, message: Mapping[str, Json], *, unlocked: bool) -> dict[str, Json]:
    async def work(owner: Owner) -> dict[str, Json]:
        if unlocked:
            await owner.require_unlocked()
        return await owner.sealed("Data", member, message)

    return converse(output, work)


def say_done(output: Output, answer: Mapping[str, Json], what: str) -> None:
    """Say what a change has done, and its entry."""
    if output.json:
        render.emit_json(answer)
    else:
        render.emit_line(f"{what} (entry {answer.get('entry')})")


def members(answer: Mapping[str, Json], name: str) -> list[dict[str, Json]]:
    """The list of objects under ``name``. Raises `BadAnswer`."""
    found = answer.get(name)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise BadAnswer(f"the answer has no {name}")
    return found
