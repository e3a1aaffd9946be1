"""``ownerctl receipt``: what a provider returned, handed in beside the disclosure that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.owner import Owner

_MAX_RECEIPT_BYTES = 64 * 1024


@click.command(epilog=examples("ownerctl receipt 12 accepted.jws", "curl … | ownerctl receipt 12 -"))
@click.argument("entry", type=click.IntRange(0))
@click.argument("file", type=click.Path(allow_dash=True), metavar="FILE")
@output_options
def receipt(entry: int, file: str, output: Output) -> None:
    """Record what a provider returned for a disclosure.

    ENTRY is the number of the disclosure; FILE an acceptance of terms, a confirmation, data about you. A signed receipt (compact JWS) is checked against the key that signed the provider's request; JSON and
    plain text are kept as they are. At most 64 KiB; - reads standard input.
    """
    from ownerctl.errors import FileTrouble
    from ownerctl.given_file import read_given_text
    from ownerctl.owner import converse

    text = read_given_text(file, "receipt", _MAX_RECEIPT_BYTES).strip()
    if not text:
        raise FileTrouble("the receipt is empty", hint="ownerctl receipt ENTRY FILE")

    async def work(owner: Owner) -> dict[str, Any]:
        return await owner.hand_in({"entry": entry, "receipt": text})

    answer = converse(output, work)
    if output.json:
        render.emit_json({"entry": answer.get("entry"), "answers": entry})
    else:
        render.emit_line(f"recorded as entry {answer.get('entry')}, beside entry {entry}")
