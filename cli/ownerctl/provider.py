"""``ownerctl provider``: who holds what, since when, under which trust."""

from __future__ import annotations

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

_COLUMNS = ("id", "name", "trust", "since", "disclosures")


@click.group()
def provider() -> None:
    """See who holds what.

    Looking takes a touch, and becomes an entry in the ledger.
    """


@provider.command("list", epilog=examples("ownerctl provider list"))
@output_options
def list_providers(output: Output) -> None:
    """List the providers that have a key of their own here."""
    from ownerctl.owner import converse, members

    rows = members(
        converse(output, lambda owner: owner.sealed("Data", "Read", {"what": "providers"})), "providers"
    )
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
    from ownerctl.owner import converse, members
    from ownerd.model.errors import NotFound

    message = {"what": "provider", "id": provider_id}
    answer = converse(output, lambda owner: owner.sealed("Data", "Read", message))
    rows = members(answer, "providers")
    if not rows:
        raise NotFound("no such provider")
    if output.json:
        render.emit_json(rows[0])
        return
    render.emit_details(rows[0])
