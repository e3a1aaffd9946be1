"""``ownerctl status``, ``unlock`` and ``lock``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.owner import Owner

# Acts in flight fail by name and are recorded before the daemon ends.
LOCK_SECONDS = 15.0


@click.command(epilog=examples("ownerctl status --json"))
@output_options
def status(output: Output) -> None:
    """Show whether the vault is open, and how much there is in it."""
    from ownerctl.owner import converse

    found = converse(output, lambda owner: owner.status())
    if output.json:
        render.emit_json(found)
        return
    vault = "not set up" if not found.get("set_up") else "unlocked" if found.get("unlocked") else "locked"
    counts = [(name, found.get(name, 0)) for name in ("claims", "providers", "tokens", "entries", "pending")]
    code = "set" if found.get("recovery") else "not set"
    render.emit_table(
        [("vault", vault), *counts, *([("recovery code", code)] if found.get("set_up") else [])]
    )
    if not found.get("set_up"):
        render.note("ownerctl setup makes the vault")
    elif found.get("pending"):
        render.note("ownerctl pending lists what waits for you")


@click.command(epilog=examples("ownerctl unlock"))
@output_options
def unlock(output: Output) -> None:
    """Open the vault with a touch on an enrolled token."""
    from ownerctl.owner import converse

    async def work(owner: Owner) -> bool:
        if (await owner.status()).get("unlocked"):
            return True
        await owner.ask("Agent", "Unlock")
        return False

    already = converse(output, work)
    if output.json:
        render.emit_json({"unlocked": True})
    else:
        render.emit_line("unlocked already" if already else "unlocked")


@click.command(epilog=examples("ownerctl lock"))
@output_options
def lock(output: Output) -> None:
    """Lock the vault: the daemon forgets every key by ending."""
    from ownerctl.owner import converse

    already = converse(output, _lock)
    if output.json:
        render.emit_json({"locked": True})
    else:
        render.emit_line("locked already, ownerd is not running" if already else "locked")


async def _lock(owner: Owner) -> bool:
    """Lock, and wait for the end that locking is; True when there is nobody to lock."""
    from ownerctl.errors import AgentGone, NotLocked, NotRunning

    try:
        await owner.client.owner(activate=False)
    except NotRunning:
        return True
    with suppress(AgentGone):  # it may be gone before its reply is written; whether it is, comes next
        await owner.client.owner_call("Agent", "Lock")
    if not await owner.client.wait_gone(LOCK_SECONDS):
        raise NotLocked("the daemon has not ended")
    return False
