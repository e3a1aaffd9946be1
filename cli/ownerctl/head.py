"""``ownerctl ledger head``: the newest checkpoint, to be kept elsewhere; with a proof, for a witness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.ledger_file import LedgerFile


@click.command(
    epilog=examples(
        "ownerctl ledger head > /media/stick/ownerd.head",
        "ownerctl ledger head --proof-from 120 > /media/stick/for-the-witness",
    )
)
@click.option("--file", "path", type=click.Path(), help="Read this database instead of your own.")
@click.option(
    "--proof-from",
    "old",
    type=click.IntRange(min=0),
    metavar="SIZE",
    help="With the proof that the ledger only grew since it had SIZE entries (ownerctl witness).",
)
@output_options
def head(path: str | None, old: int | None, output: Output) -> None:
    """Print the newest checkpoint, to be kept elsewhere.

    A checkpoint on another machine shows later if the ledger was rolled back or rewritten.
    """
    from ownerctl.errors import NothingThere
    from ownerctl.ledger_file import open_ledger
    from ownerctl.offline import database

    with open_ledger(database(path)) as found:
        newest = found.newest_checkpoint()
        if newest is None:
            raise NothingThere("the ledger has no checkpoint yet")
        size, note = newest
        data = note if old is None else _request(found, old, size, note)
    text = data.decode("utf-8", "replace")
    if output.json:
        name = "checkpoint" if old is None else "request"
        render.emit_json({"size": size, name: text})
    else:
        render.emit_file(text)


def _request(found: LedgerFile, old: int, size: int, note: bytes) -> bytes:
    """What a witness wants: checkpoint and consistency proof. Raises `RolledBack` where it has seen more than this."""
    from ownerd.ledger.merkle import consistency_proof, leaf_hash
    from ownerd.ledger.witness import WitnessRequest, format_request
    from ownerd.model.errors import RolledBack, Tampered

    if old > size:
        raise RolledBack(f"the newest checkpoint here signs {size} entries, fewer than {old}")
    hashes = [leaf_hash(leaf) for seq, leaf in found.entries() if seq < size]
    if len(hashes) != size:
        raise Tampered("entries under the newest checkpoint are missing")
    return format_request(WitnessRequest(old, tuple(consistency_proof(hashes, old)), note))
