"""``ownerctl grant``: what providers may repeat without a touch, and the end of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

_COLUMNS = ("id", "provider", "claims", "until", "used", "per hour", "live")


@click.group()
def grant() -> None:
    """See and revoke what providers may repeat without a touch.

    A grant is made by a touch, while you approve a request (ownerctl approve --grant-days) or by a rule of the
    policy. It ends by itself after 30 days at most.
    """


def _read(output: Output) -> list[dict[str, Json]]:
    from ownerctl.owner import members, read

    return members(read(output, {"what": "grants"}), "grants")


def _row(one: dict[str, Json]) -> list[object]:
    claims = one.get("claims")
    return [
        one.get("id"),
        one.get("name"),
        ", ".join(map(str, claims)) if isinstance(claims, list) else "",
        render.local_time(str(one.get("until"))),
        f"{one.get('used')} of {one.get('count')}",
        one.get("per_hour"),
        "yes" if one.get("live") else "no",
    ]


@grant.command("list", epilog=examples("ownerctl grant list"))
@output_options
def list_grants(output: Output) -> None:
    """List the grants, and how much of each is used."""
    rows = _read(output)
    if output.json:
        render.emit_json({"grants": rows})
        return
    render.emit_table([_row(row) for row in rows], _COLUMNS if rows else ())
    if not rows:
        render.note("no provider may repeat anything without a touch")


@grant.command(epilog=examples("ownerctl grant show 9"))
@click.argument("grant_id", metavar="ID")
@output_options
def show(grant_id: str, output: Output) -> None:
    """Show one grant."""
    from ownerd.model.errors import NotFound

    for row in _read(output):
        if str(row.get("id")) == grant_id:
            break
    else:
        raise NotFound("no such grant")
    if output.json:
        render.emit_json(row)
        return
    times: dict[str, Json] = {
        name: render.local_time(str(row[name])) for name in ("since", "until") if name in row
    }
    render.emit_details({**row, **times})


@grant.command(epilog=examples("ownerctl grant revoke 9"))
@click.argument("grant_id", metavar="ID")
@output_options
def revoke(grant_id: str, output: Output) -> None:
    """End a grant at once: its key is deleted here.

    Takes no touch in an open vault, because it only takes away. What was sent under it stays valid with the provider until the grant would have ended.
    """
    from ownerctl.owner import change, say_done

    message: dict[str, Json] = {"change": "grant-revoke", "id": grant_id}
    answer = change(output, message)
    say_done(output, answer, f"revoked {grant_id}")
