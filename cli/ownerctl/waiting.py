"""``ownerctl pending``, ``approve``, ``refuse`` and ``watch``: requests that wait for the owner.

The daemon asks; these commands only say which request and lend it this terminal. While its prompt has the
terminal, nothing here reads or writes on it.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from ownerctl import render
from ownerctl.claims import require_asked
from ownerctl.options import Output, complete_asked, examples, output_options

if TYPE_CHECKING:
    from ownerctl.client import Option
    from ownerctl.owner import Owner

_POLL_SECONDS = 0.3
_DONE = "done"
_COLUMNS = ("id", "kind", "app", "confidence", "state", "since")


async def _list(owner: Owner) -> list[dict[str, Any]]:
    from ownerctl.owner import members

    (rows,) = await owner.client.owner_call("Requests", "List")
    return members({"requests": rows}, "requests")


def complete_pending(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Ids of waiting requests that begin with ``typed``, for the shell; starts no daemon for them."""
    from ownerctl.owner import converse
    from ownerd.model.errors import OwnerdError

    async def work(owner: Owner) -> list[dict[str, Any]]:
        await owner.client.owner(activate=False)
        return await _list(owner)

    try:
        ids = [str(row.get("id")) for row in converse(Output(), work)]
    except OwnerdError:
        return []
    return [found for found in ids if found.startswith(typed)]


async def _choose(owner: Owner, given: str | None) -> str:
    """``given``, or the only request that waits."""
    from ownerctl.errors import NothingThere, UsageTrouble

    if given is not None:
        return given
    ids = [str(row.get("id")) for row in await _list(owner)]
    if not ids:
        raise NothingThere("no request waits", hint="ownerctl pending lists what waits")
    if len(ids) > 1:
        raise UsageTrouble(
            f"{len(ids)} requests wait: {', '.join(ids)}",
            hint="name one of them; ownerctl pending lists them",
        )
    return ids[0]


@click.command(epilog=examples("ownerctl pending"))
@output_options
def pending(output: Output) -> None:
    """List the requests that wait for you."""
    from ownerctl.owner import converse

    rows = converse(output, _list)
    if output.json:
        render.emit_json({"requests": rows})
        return
    table = [
        [
            render.local_time(str(row.get(column))) if column == "since" else row.get(column)
            for column in _COLUMNS
        ]
        for row in rows
    ]
    render.emit_table(table, _COLUMNS if table else ())
    render.note("ownerctl approve ID asks you on this terminal" if rows else "no request waits")


@click.command(
    epilog=examples(
        "ownerctl approve 3 --without birthdate --retention P30D",
        "ownerctl approve 3 --grant-days 30 --grant-count 100 --grant-per-hour 20",
    )
)
@click.argument("request_id", required=False, metavar="[ID]", shell_complete=complete_pending)
@click.option(
    "--without", multiple=True, metavar="CLAIM", shell_complete=complete_asked, help="Leave a claim out."
)
@click.option("--retention", metavar="P30D", help="How long it may be kept, instead of what is asked.")
@click.option("--grant-days", type=click.IntRange(1), help="Let the provider repeat this, for so many days.")
@click.option("--grant-count", type=click.IntRange(1), help="So many times in all.")
@click.option("--grant-per-hour", type=click.IntRange(1), help="At most so often in any hour.")
@output_options
def approve(
    request_id: str | None,
    *,
    without: tuple[str, ...],
    retention: str | None,
    output: Output,
    **limits: int | None,
) -> None:
    """Show a waiting request on this terminal, to approve it.

    A locked vault is unlocked first. The daemon asks here, and the touch comes after your answer. With the three
    --grant options the provider may repeat this request without a touch, for 30 days at most.
    """
    from ownerctl.errors import BadAnswer
    from ownerctl.owner import converse
    from ownerd.model.errors import error_table

    narrowing = _narrowing(without, retention, limits)

    async def work(owner: Owner) -> tuple[str, str | None]:
        from ownerctl.client import variants

        chosen = await _choose(owner, request_id)
        if not (await owner.status()).get("unlocked"):
            # A request that waits for the vault has nothing to show yet.
            await owner.ask("Agent", "Unlock")
        options = variants({**owner.terminal, **narrowing})
        await owner.client.owner_call("Requests", "Approve", "sa{sv}", chosen, options)
        await _until_over(owner, chosen)
        return chosen, await _outcome(owner, chosen)

    chosen, outcome = converse(output, work)
    if outcome not in (None, _DONE):
        raise error_table().get(str(outcome), BadAnswer)(f"{chosen} was not answered: {outcome}")
    if output.json:
        render.emit_json({"id": chosen, "waiting": False, "outcome": outcome})
    else:
        render.emit_line(f"{chosen} no longer waits" if outcome is None else f"{chosen} is answered")


def _narrowing(
    without: tuple[str, ...], retention: str | None, limits: dict[str, int | None]
) -> dict[str, Option]:
    """Options of ``Requests.Approve``; how far each may go is the daemon's to say. Raises `UsageTrouble`."""
    from ownerctl.errors import UsageTrouble
    from ownerd.credential.transaction_data import retention_days
    from ownerd.model.errors import InvalidArgument

    given = {name: value for name, value in limits.items() if value is not None}
    if given and len(given) < len(limits):
        hint = "--grant-days 30 --grant-count 100 --grant-per-hour 20"
        raise UsageTrouble("a grant needs its days, its count and its number per hour", hint=hint)
    narrowing: dict[str, Option] = {"without": require_asked(without), **given}
    if retention is not None:
        try:
            narrowing["retention_days"] = retention_days(retention)
        except InvalidArgument as error:
            raise UsageTrouble("--retention is not a time", hint="30 days are P30D, a year is P1Y") from error
    return narrowing


async def _outcome(owner: Owner, chosen: str) -> str | None:
    """How it ended; None where nobody knows any more, as the daemon has ended or is an older one."""
    from ownerctl.errors import AgentGone, BadAnswer, NotRunning
    from ownerd.model.errors import NotFound

    try:
        (outcome,) = await owner.client.owner_call("Requests", "Outcome", "s", chosen)
    except (AgentGone, NotRunning, NotFound, BadAnswer):
        return None
    return str(outcome)


async def _until_over(owner: Owner, chosen: str) -> None:
    """Wait until the request is gone: the prompt needs the terminal, and a shell would take it back."""
    from ownerctl.errors import AgentGone

    async with owner.progress() as line:
        state = ""
        while True:
            try:
                found = [row for row in await _list(owner) if row.get("id") == chosen]
            except AgentGone:
                return
            if not found:
                return
            if found[0].get("state") != state:
                state = str(found[0].get("state"))
                line.show(state, {})
            await asyncio.sleep(_POLL_SECONDS)


@click.command(epilog=examples("ownerctl refuse 3", "ownerctl refuse 3 --today"))
@click.argument("request_id", required=False, metavar="[ID]", shell_complete=complete_pending)
@click.option("--today", is_flag=True, help="Refuse also what its app asks until midnight.")
@output_options
def refuse(request_id: str | None, today: bool, output: Output) -> None:  # noqa: FBT001 click passes parameters by name
    """Refuse a waiting request.

    Nothing is released, and the refusal is recorded.
    """
    from ownerctl.owner import converse

    async def work(owner: Owner) -> str:
        chosen = await _choose(owner, request_id)
        await owner.client.owner_call("Requests", "RefuseToday" if today else "Refuse", "s", chosen)
        return chosen

    chosen = converse(output, work)
    if output.json:
        render.emit_json({"id": chosen, "refused": True, "today": today})
    else:
        render.emit_line(f"refused {chosen}{', and its app until midnight' if today else ''}")


@click.command(epilog=examples("ownerctl watch", "ownerctl watch --names-only"))
@click.option(
    "--names-only", is_flag=True, help="Show which claims are asked for, not their values; no touch."
)
@output_options
def watch(names_only: bool, output: Output) -> None:  # noqa: FBT001 -- click's
    """Lend this terminal to prompts until Ctrl-C.

    A touch allows values to be shown here, because any program can lend a terminal. A lock ends the daemon,
    not the watch: it goes on, with names only, when the daemon is back.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.owner import converse
    from ownerctl.terminal import terminal_name

    if terminal_name() is None:
        raise UsageTrouble("there is no terminal to lend", hint="run ownerctl watch in a terminal of its own")
    converse(output, lambda owner: _watch(owner, values=not names_only))


async def _watch(owner: Owner, *, values: bool) -> None:
    from ownerctl.client import variants
    from ownerctl.errors import AgentGone, NotRunning

    await owner.client.owner()
    if values:
        await owner.client.owner_call("Requests", "Watch", "a{sv}", variants(owner.terminal))
        await owner.ask("Requests", "ShowValues")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    render.note(f"prompts appear here until ctrl-c{'' if values else ', without values'}")
    first = values
    while not stop.is_set():
        try:
            # Not activated here: a daemon that locked stays down until somebody needs it.
            await owner.client.owner(activate=False)
            if not first:
                await owner.client.owner_call("Requests", "Watch", "a{sv}", variants(owner.terminal))
            first = False
        except (AgentGone, NotRunning):
            render.note("ownerd ended; waiting for it to come back")
        waits = {asyncio.create_task(stop.wait()), asyncio.create_task(owner.client.owner_changed.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not stop.is_set():
            owner.client.forget_owner()
    with suppress(AgentGone, NotRunning):
        await owner.client.owner(activate=False)
        await owner.client.owner_call("Requests", "Unwatch")
