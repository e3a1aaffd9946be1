"""``ownerctl provider``: who holds what, since when, under which trust; a new key for one; the end with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

_FORGETTING = """forgetting {id}
  its key, its aliases and its grants here are deleted: what it asks next, it asks as a stranger
  mail to its alias is still delivered, and nothing here says any more whose alias it was
  what it has got it keeps, and the ledger keeps what was recorded"""
_COLUMNS = ("id", "name", "trust", "since", "disclosures")


@click.group()
def provider() -> None:
    """See who holds what; rotate a provider's key, forget a provider.

    Looking and changing take a touch, and become entries in the ledger.
    """


@provider.command("list", epilog=examples("ownerctl provider list"))
@output_options
def list_providers(output: Output) -> None:
    """List the providers that have a key of their own here."""
    from ownerctl.owner import members, read

    rows = members(read(output, {"what": "providers"}), "providers")
    if output.json:
        render.emit_json({"providers": rows})
        return
    table = [
        [
            render.local_time(str(row.get(column))) if column == "since" else row.get(column)
            for column in _COLUMNS
        ]
        for row in rows
    ]
    render.emit_table(table, _COLUMNS if table else ())
    if not rows:
        render.note("no provider has a key yet; who only claims a name is in ownerctl ledger log")


@provider.command(epilog=examples("ownerctl provider show 3f2a"))
@click.argument("provider_id", metavar="ID")
@output_options
def show(provider_id: str, output: Output) -> None:
    """Show one provider: its key, its trust, and what it got."""
    from ownerctl.owner import members, read
    from ownerd.model.errors import NotFound

    message = {"what": "provider", "id": provider_id}
    answer = read(output, message)
    rows = members(answer, "providers")
    if not rows:
        raise NotFound("no such provider")
    if output.json:
        render.emit_json(rows[0])
        return
    render.emit_details(rows[0])


@provider.command(
    epilog=examples("ownerctl provider rotate 3f2a", "ownerctl provider rotate 3f2a --out handover.jwt")
)
@click.argument("provider_id", metavar="ID")
@click.option("--out", "path", type=click.Path(), help="Write the signed hand-over to this file too.")
@output_options
def rotate(provider_id: str, path: str | None, output: Output) -> None:
    """Make a new key for one provider, signed over to by the old one.

    The provider gets the hand-over with its next answer; --out is for handing it over in another way.
    """
    from ownerctl.errors import BadAnswer
    from ownerctl.owner import change
    from ownerctl.private_file import require_place, write_private

    out = None if path is None else Path(path)
    if out is not None:
        require_place(out)
    message: dict[str, Json] = {"change": "provider-rotate", "id": provider_id}
    answer = change(output, message)
    handover = answer.get("handover")
    if not isinstance(handover, str):
        raise BadAnswer("the answer has no hand-over")
    if output.json:
        render.emit_json(answer)
    else:
        rows = [("rotated", provider_id), ("entry", answer.get("entry")), ("new DID", answer.get("did"))]
        render.emit_table(rows)
    if out is not None:  # last, because the key is rotated whether or not this works
        write_private(out, f"{handover}\n".encode(), replace=False)
        render.note(f"hand-over written to {path}")


@provider.command(epilog=examples("ownerctl provider forget 3f2a"))
@click.argument("provider_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@output_options
def forget(provider_id: str, yes: bool, output: Output) -> None:  # noqa: FBT001 click passes parameters by name
    """Delete the key, aliases and grants of one provider.

    What it has got it keeps; it cannot be asked to forget you, and sees a stranger from then on.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.owner import change, say_done
    from ownerctl.questions import agree
    from ownerctl.terminal import is_interactive

    if not yes and (output.json or not is_interactive()):
        raise UsageTrouble(
            "forgetting a provider needs a person who says so", hint="on a terminal, or with --yes"
        )
    render.note(_FORGETTING.format(id=provider_id))
    if not yes and not agree("forget it?", default=False):
        raise UsageTrouble("nothing was forgotten")
    message: dict[str, Json] = {"change": "provider-forget", "id": provider_id}
    answer = change(output, message)
    say_done(output, answer, f"forgot {provider_id}")
