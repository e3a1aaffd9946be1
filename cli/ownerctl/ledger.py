"""``ownerctl ledger``: read it through the daemon, verify it without.

``verify`` and ``log --offline`` need the database file alone: no daemon, no token, no trust in either.
Values are sealed in that file; only the unlocked daemon shows them, after a touch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.anchor import anchor, anchors
from ownerctl.erase import erase
from ownerctl.export import export
from ownerctl.head import head
from ownerctl.ledger_words import approved_by, claim_in_words, facts_in_words, summary
from ownerctl.offline import offline_entries, verify
from ownerctl.options import Output, examples, output_options
from ownerctl.proof import check_proof, prove

if TYPE_CHECKING:
    from ownerctl.owner import Owner
    from ownerd.model.encoding import Json

_MAX_COUNT = 500  # rows for people; ledger export has them all


@click.group()
def ledger() -> None:
    """Read the ledger, and verify it without the daemon."""


def _show_log(entries: list[dict[str, Json]]) -> None:
    rows = [
        [
            entry.get("seq"),
            render.local_time(str(entry.get("time"))),
            entry.get("kind"),
            approved_by(entry),
            summary(entry),
        ]
        for entry in entries
    ]
    render.emit_table(rows, ("entry", "time", "kind", "approved by", "about") if rows else ())


@ledger.command(epilog=examples("ownerctl ledger log -n 5"))
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, _MAX_COUNT),
    default=20,
    show_default=True,
    help="How many, newest last.",
)
@click.option("--offline", is_flag=True, help="Kinds and times from the file, without daemon and values.")
@click.option("--file", "path", type=click.Path(), help="Read this database with --offline.")
@output_options
def log(count: int, offline: bool, path: str | None, output: Output) -> None:  # noqa: FBT001 -- click passes by name
    """Show the newest entries; looking takes a touch too."""
    from ownerctl.errors import UsageTrouble

    if path is not None and not offline:
        raise UsageTrouble("--file needs --offline")
    entries = offline_entries(path, count) if offline else _log_online(count, output)
    if output.json:
        render.emit_json({"entries": entries})
    else:
        _show_log(entries)


def _log_online(count: int, output: Output) -> list[dict[str, Json]]:
    from ownerctl.owner import converse

    async def work(owner: Owner) -> list[dict[str, Json]]:
        size = int((await owner.require_unlocked()).get("entries", 0))
        start = max(0, size - count)
        pages = await owner.entries(start, size - start)
        return [entry async for entry in pages.entries()]

    return converse(output, work)


@ledger.command(epilog=examples("ownerctl ledger show 12"))
@click.argument("seq", type=click.IntRange(0))
@output_options
def show(seq: int, output: Output) -> None:
    """Show one entry with its values, as far as they are not erased."""
    from ownerctl.owner import members, read
    from ownerd.model.errors import NotFound

    found = members(read(output, {"what": "entry", "seq": seq}, unlocked=True), "entries")
    if not found:
        raise NotFound("no such entry")
    (entry,) = found
    if output.json:
        render.emit_json(entry)
        return
    _show_entry(entry)


def _show_entry(entry: dict[str, Json]) -> None:
    values = dict(entry.get("values") or {})
    statement = values.pop("statement", None)
    shown: dict[str, Json] = {
        "entry": entry.get("seq"),
        "time": render.local_time(str(entry.get("time"))),
        "kind": entry.get("kind"),
        "approved by": approved_by(entry) or "nobody",
        **facts_in_words(entry),
    }
    for label, value in values.items():
        if label.startswith("claim/") and isinstance(value, dict):
            shown[str(value.get("name"))] = claim_in_words(value)
        else:
            shown[label] = value
    render.emit_details(shown)
    if entry.get("values") is None:
        render.note("its values were erased")
    rendered = statement.get("rendered") if isinstance(statement, dict) else None
    if isinstance(rendered, dict) and rendered.get("text"):
        render.emit_line("\nwhat you were shown:", lines=True)
        render.emit_line(rendered["text"], lines=True)


ledger.add_command(verify)
ledger.add_command(head)
ledger.add_command(anchor)
ledger.add_command(anchors)
ledger.add_command(prove)
ledger.add_command(check_proof)
ledger.add_command(export)
ledger.add_command(erase)
