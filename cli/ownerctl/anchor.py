"""``ownerctl ledger anchor`` and ``anchors``: where heads of the ledger are kept, and what they say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

_COLUMNS = ("id", "kind", "where", "size", "last seen", "verdict")
_MAX_NOTE_BYTES = 16 * 1024
_STALE = {
    "PinNeeded": "not renewed by itself: it wants a PIN or its management key (ownerctl ledger anchor update {id})",
    "Busy": "not renewed: another head was written there meanwhile",
}


@click.group()
def anchor() -> None:
    """Keep heads of the ledger elsewhere, so that an older copy of it is told.

    An enrolled FIDO2 token that has no PIN keeps one by itself. At unlock the daemon holds every head that it reaches against the
    ledger; a newer one, or one of another history, keeps the vault closed. A missing one proves nothing.
    """


@click.command(epilog=examples("ownerctl ledger anchors"))
@output_options
def anchors(output: Output) -> int:
    """List where heads are kept, and what is found there.

    Looking takes a touch.
    """
    from ownerctl.owner import members, read

    rows = members(read(output, {"what": "anchors"}), "anchors")
    if output.json:
        render.emit_json({"anchors": rows})
    else:
        _show(rows)
    return 0


def _show(rows: list[dict[str, Json]]) -> None:
    table = [
        [
            row.get("id"),
            row.get("kind"),
            row.get("where"),
            row.get("size"),
            render.local_time(str(row["seen"])) if row.get("seen") else "",
            row.get("verdict"),
        ]
        for row in rows
    ]
    render.emit_table(table, _COLUMNS if table else ())
    for row in rows:
        stale = row.get("stale")
        if stale:
            text = _STALE.get(str(stale), f"not renewed: {stale}")
            render.note(f"{row.get('where')}: {text.format(id=row.get('id'))}")
    if not rows:
        render.note("no head is kept elsewhere: an older copy of the ledger would not be told")


@anchor.group()
def add() -> None:
    """Add a place where heads are kept: a file, or a witness."""


def _add(kind: str, where: str, output: Output) -> None:
    from ownerctl.owner import change, say_done

    message: dict[str, Json] = {"change": "anchor-add", "name": kind, "text": where}
    answer = change(output, message)
    say_done(output, answer, f"added {answer.get('id')}")


@add.command("file", epilog=examples("ownerctl ledger anchor add file /media/stick/ownerd.head"))
@click.argument("path", type=click.Path())
@output_options
def add_file(path: str, output: Output) -> None:
    """Keep the newest head in the file PATH, best away from this disk.

    It is written at each unlock and lock. A stick that is not there is told, and hinders nothing.
    """
    _add("file", str(Path(path).absolute()), output)


@add.command("witness", epilog=examples("ownerctl ledger anchor add witness phone/witness+1a2b3c4d+BA…"))
@click.argument("vkey", metavar="VKEY")
@output_options
def add_witness(vkey: str, output: Output) -> None:
    """Trust the cosignatures of another device.

    VKEY is what ownerctl witness key printed there.
    """
    _add("witness", vkey, output)


@anchor.command(epilog=examples("ownerctl ledger anchor remove 1f2e3d4c"))
@click.argument("anchor_id", metavar="ID")
@output_options
def remove(anchor_id: str, output: Output) -> None:
    """Keep heads there no longer; what lies there stays."""
    from ownerctl.owner import change, say_done

    message: dict[str, Json] = {"change": "anchor-remove", "id": anchor_id}
    answer = change(output, message)
    say_done(output, answer, f"removed {anchor_id}")


@anchor.command(
    epilog=examples(
        "ownerctl ledger anchor update",
        "ownerctl ledger anchor update --token spare",
        "ownerctl ledger anchor update --older --token spare",
    )
)
@click.argument("anchor_id", metavar="[ID]", required=False)
@click.option("--token", metavar="TOKEN", help="An enrolled token, by its name or id.")
@click.option(
    "--older",
    is_flag=True,
    help="Over a newer head, after a touch: what it signed and is not here is lost for good.",
)
@output_options
def update(anchor_id: str | None, token: str | None, older: bool, output: Output) -> None:  # noqa: FBT001
    """Write the newest head to one place, or to all that are reached.

    A token with a PIN asks for it, a PIV card for its management key. Where a head is gone it is written anew.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.owner import change, members

    if anchor_id is not None and token is not None:
        raise UsageTrouble("give an id or a token, not both")
    chosen = anchor_id or token
    if older and chosen is None:
        raise UsageTrouble("--older is for one place: give its id, or --token")
    message: dict[str, Json] = {"change": "anchor-update", **({} if chosen is None else {"id": chosen})}
    if older:
        message["older"] = True
    answer = change(output, message)
    if output.json:
        render.emit_json(answer)
    else:
        _show(members(answer, "anchors"))


@anchor.command("import", epilog=examples("ownerctl ledger anchor import cosigned.note"))
@click.argument("path", type=click.Path())
@output_options
def import_note(path: str, output: Output) -> None:
    """Take in a note that a witness cosigned.

    It is held against the ledger now and at each unlock.
    """
    from ownerctl.errors import FileTrouble
    from ownerctl.given_file import read_given
    from ownerctl.owner import change, say_done

    try:
        text = read_given(path, "note", _MAX_NOTE_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileTrouble("the note cannot be read") from error
    if len(text) > _MAX_NOTE_BYTES:
        raise FileTrouble("the note is too large to be one")
    message: dict[str, Json] = {"change": "anchor-import", "text": text}
    answer = change(output, message)
    when = render.local_time(str(answer.get("cosigned")))
    say_done(output, answer, f"{answer.get('size')} entries, cosigned {when}")
