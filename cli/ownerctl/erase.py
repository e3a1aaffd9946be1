"""``ownerctl ledger erase``: destroy what chosen entries say. The entries, and every proof, stay."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, complete_claims, examples, output_options

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

_MAX_SHOWN = 40
_ERASING = """values, names and terms of these entries are destroyed in the database, for good
  that there was an entry, when and with whose touch stays, and every proof of it
  backups, other copies of the file and snapshots of the disk keep what they have, and so do providers
  after the touch the table is written anew, so that nothing stays on its pages: some seconds in a long ledger"""


def parse_day(text: str) -> str:
    """A day (its beginning here) or a time → as the ledger writes times. Raises `UsageTrouble`."""
    from ownerctl.errors import UsageTrouble
    from ownerd.model.clock import format_time

    try:
        moment = datetime.fromisoformat(text)
        return format_time(int(moment.astimezone().timestamp() * 1000))
    except (ValueError, OverflowError, OSError) as error:
        raise UsageTrouble("the date is not one", hint="write it like 2026-01-31") from error


def _chosen(
    entries: tuple[int, ...], claim: str | None, provider: str | None, before: str | None
) -> dict[str, Json]:
    from ownerctl.errors import UsageTrouble

    named = {"claim": claim, "provider": provider, "before": None if before is None else parse_day(before)}
    chosen: dict[str, Json] = {name: value for name, value in named.items() if value is not None}
    if bool(entries) == bool(chosen):
        raise UsageTrouble("name entries, or what they are about (--claim, --provider, --before)")
    return {"entries": sorted(set(entries))} if entries else chosen


@click.command(
    epilog=examples(
        "ownerctl ledger erase 12 17",
        "ownerctl ledger erase --claim birthdate --dry-run",
        "ownerctl ledger erase --provider 3f2a --before 2026-01-31",
    )
)
@click.argument("entries", metavar="[SEQ]…", nargs=-1, type=click.IntRange(0))
@click.option("--claim", shell_complete=complete_claims, help="Entries that hold a value of this claim.")
@click.option("--provider", metavar="ID", help="Entries about this provider (its id, or its client_id).")
@click.option("--before", metavar="DATE", help="Entries from before this day.")
@click.option("--dry-run", is_flag=True, help="List what would be erased, and erase nothing.")
@click.option("--yes", is_flag=True, help="Do not list and ask first; the daemon's prompt still does.")
@output_options
def erase(
    entries: tuple[int, ...],
    claim: str | None,
    provider: str | None,
    before: str | None,
    dry_run: bool,  # noqa: FBT001 click passes parameters by name
    yes: bool,  # noqa: FBT001
    output: Output,
) -> None:
    """Destroy what entries say, by number or by what they are about.

    Several choices narrow each other. Lists first what it would be, which takes a touch as any look does; erasing takes another.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.owner import change, read
    from ownerctl.questions import agree
    from ownerctl.terminal import is_interactive

    chosen = _chosen(entries, claim, provider, before)
    if not (yes or dry_run) and (output.json or not is_interactive()):
        raise UsageTrouble("erasing needs a person who says so", hint="on a terminal, or with --yes")
    if dry_run or not yes:
        found = read(output, {"what": "erasable", **chosen}, unlocked=True)
        if output.json:
            render.emit_json(found)
        else:
            _show(found)
        if dry_run:
            return
    render.note(_ERASING)
    if not yes and not agree("erase them?", default=False):
        raise UsageTrouble("nothing was erased")
    answer = change(output, {"change": "erase", **chosen}, unlocked=True)
    if output.json:
        render.emit_json(answer)
        return
    said = ", ".join(str(one) for one in answer.get("entries") or [])
    render.emit_line(f"erased what {answer.get('erased')} entries said (entry {said})")


def _show(found: dict[str, Json]) -> None:
    from ownerctl.owner import members

    rows = members(found, "entries")
    table = [
        [row.get("seq"), render.local_time(str(row.get("time"))), row.get("kind")]
        for row in rows[:_MAX_SHOWN]
    ]
    render.emit_table(table, ("entry", "time", "kind"))
    count = found.get("count")
    if isinstance(count, int) and count > len(table):
        render.emit_line(f"and {count - len(table)} entries more")
