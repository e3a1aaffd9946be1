"""``ownerctl data import`` and ``export``: vCard files. What is skipped is said, and never silent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.claims import change_claims, read_claims
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.vcard import ParsedCard

_MAX_IMPORT_BYTES = 1 << 20


def _read_card(path: str) -> ParsedCard:
    from ownerctl.errors import FileTrouble
    from ownerctl.given_file import read_given
    from ownerctl.vcard import parse_vcard
    from ownerd.model.errors import InvalidArgument

    raw = read_given(path, "file", _MAX_IMPORT_BYTES, or_stdin=True)
    if len(raw) > _MAX_IMPORT_BYTES:
        raise FileTrouble("the file is larger than a megabyte", hint="one person's vCard is smaller")
    try:
        return parse_vcard(raw)
    except InvalidArgument as error:
        raise FileTrouble(str(error), hint="export one contact as vCard 4.0 or 3.0") from error


@click.command("import", epilog=examples("ownerctl data import me.vcf"))
@click.argument("file", type=click.Path(allow_dash=True), metavar="FILE.vcf")
@output_options
def import_vcard(file: str, output: Output) -> None:
    """Set claims from a vCard, and say what was skipped."""
    from ownerctl.errors import FileTrouble

    card = _read_card(file)
    for skipped in card.skipped:
        render.note(f"skipped: {skipped}")
    if not card.claims:
        raise FileTrouble("nothing in the file can be imported", hint="give it a FN, an EMAIL or an ADR")
    render.note("to be set: " + ", ".join(name for name, _ in card.claims))
    claims = [{"name": name, "value": value, "source": "vcard"} for name, value in card.claims]
    change_claims(output, {"change": "set", "claims": claims})


@click.command(epilog=examples("ownerctl data export me.vcf"))
@click.argument("file", required=False, type=click.Path())
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@output_options
def export(file: str | None, force: bool, output: Output) -> None:  # noqa: FBT001 click passes parameters by name
    """Write all claims as a vCard, to FILE or standard output.

    FILE is readable by you alone, and never replaces another without --force.
    """
    from ownerctl.private_file import require_place, write_private
    from ownerctl.vcard import format_vcard

    if file is not None and not force:
        require_place(Path(file))
    rows = read_claims(output, None)
    values = {str(row.get("name")): str(row.get("value")) for row in rows}
    if file is not None:
        write_private(Path(file), format_vcard(values).encode("utf-8"), replace=force)
        if output.json:
            render.emit_json({"file": file, "claims": list(values)})
        else:
            render.emit_line(f"wrote {len(values)} claims to {file}")
    elif output.json:
        render.emit_json({"claims": rows})
    else:
        render.emit_file(format_vcard(values))
