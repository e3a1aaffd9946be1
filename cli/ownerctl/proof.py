"""``ownerctl ledger prove`` and ``check-proof``: one entry for somebody else, and what such a file is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.ledger_file import LedgerFile
    from ownerd.ledger.nodes import Nodes
    from ownerd.ledger.opening import OpeningValue
    from ownerd.ledger.proof import Proof, Proven
    from ownerd.model.encoding import Json

NOT_PROVEN = 5

PROVES = (
    "the log's key signed a tree that has this entry at this place",
    "an opened value is the one that the entry committed to",
)
PROVES_NOT = (
    "that the entry's approval holds: the token's key is in another entry, and ledger verify looks at it",
    "that the entry is still the newest of its kind, or what stands after it",
    "that what the owner said is true, or that the clock was right",
)


@click.command(epilog=examples("ownerctl ledger prove 12 --open provider --open claim/0 --out proof.json"))
@click.argument("seq", type=click.IntRange(min=0))
@click.option(
    "--open", "labels", multiple=True, metavar="LABEL", help="A value to open (touch); the rest stays closed."
)
@click.option("--out", type=click.Path(), help="Write the proof to this new file.")
@click.option("--file", "path", type=click.Path(), help="Take this database; nothing can be opened then.")
@output_options
def prove(seq: int, labels: tuple[str, ...], out: str | None, path: str | None, output: Output) -> None:
    """Make a proof of one entry that others can check.

    Without --open it shows commitments only and needs neither daemon nor token.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.offline import database
    from ownerctl.private_file import require_place, write_private
    from ownerd.ledger.proof import format_proof

    if labels and path is not None:
        raise UsageTrouble("values are opened by the daemon, which has one ledger: no --file with --open")
    if out is not None:
        require_place(Path(out))
    opened = _opened(seq, labels, output) if labels else {}
    data = format_proof(proof_of(database(path), seq, opened))
    if out is None:
        render.emit_file(data.decode("utf-8"))
        return
    write_private(Path(out), data, replace=False)
    render.note(
        "whoever has this file can show what it opens to others; keep the log's verifier key beside it"
    )


def proof_of(path: Path, seq: int, opened: dict[str, OpeningValue]) -> Proof:
    """Prove entry ``seq`` in the tree of the newest checkpoint.

    Raises `NothingThere` where there is no such entry or no checkpoint over it yet; `Tampered`, `Malformed`.
    """
    from ownerctl.errors import NothingThere
    from ownerctl.ledger_file import open_ledger
    from ownerd.ledger.note import parse_checkpoint, parse_note
    from ownerd.ledger.proof import make_proof

    with open_ledger(path) as file:
        leaf, newest = file.leaf(seq), file.newest_checkpoint()
        if leaf is None:
            raise NothingThere("there is no such entry")
        if newest is None or newest[0] <= seq:
            raise NothingThere(
                "the entry is not signed yet", hint="entries of a locked vault are signed by the next unlock"
            )
        size = parse_checkpoint(parse_note(newest[1]).text).size
        hashes = nodes_of(file).inclusion_proof(seq, size)
        return make_proof(leaf, seq, hashes, newest[1], opened)


def nodes_of(file: LedgerFile) -> Nodes:
    """The upper nodes of a ledger's tree, from one walk over its leaves."""
    from ownerd.ledger.merkle import leaf_hash
    from ownerd.ledger.nodes import Nodes

    def hashes(start: int, end: int) -> list[bytes]:
        return [leaf_hash(leaf) for leaf in file.leaves(start, end)]

    return Nodes((leaf_hash(leaf) for rows in file.entry_chunks() for _, leaf in rows), hashes)


def _opened(seq: int, labels: tuple[str, ...], output: Output) -> dict[str, OpeningValue]:
    """Ask the daemon for values and salts, with a touch."""
    from ownerctl.errors import BadAnswer
    from ownerctl.owner import read
    from ownerd.ledger.opening import OpeningValue
    from ownerd.model.encoding import parse_b64u
    from ownerd.model.errors import InvalidArgument

    message: dict[str, Json] = {"what": "opening", "seq": seq, "names": list(labels)}
    try:
        found = read(output, message, unlocked=True)["opened"]
        return {label: OpeningValue(parse_b64u(one["salt"]), one["value"]) for label, one in found.items()}
    except (KeyError, TypeError, AttributeError, InvalidArgument) as error:
        raise BadAnswer("the answer has no openings") from error


@click.command(
    "check-proof", epilog=examples("ownerctl ledger check-proof proof.json --key ownerd/0f…+1a2b3c4d+AZ…")
)
@click.argument("file", type=click.Path())
@click.option("--key", metavar="VKEY", help="The verifier key of the log that the proof is of.")
@output_options
def check_proof(file: str, key: str | None, output: Output) -> int:
    """Check a proof, and say what it proves and what it does not."""
    from ownerd.ledger.note import parse_verifier_key
    from ownerd.ledger.proof import parse_proof, verify_proof
    from ownerd.model.errors import InvalidArgument, LedgerError, Malformed

    try:
        verifier_key = None if key is None else parse_verifier_key(key)
    except Malformed as error:
        raise InvalidArgument("not a verifier key") from error
    try:
        proven = verify_proof(parse_proof(_read(file)), verifier_key)
    except LedgerError as error:
        if output.json:
            render.emit_json({"ok": False, "error": type(error).__name__, "sentence": str(error)})
        else:
            render.emit_line(f"{type(error).__name__}: {error}")
            render.error("the proof does not hold", "ask for another one")
        return NOT_PROVEN
    if output.json:
        render.emit_json(_json(proven))
    else:
        _show(proven)
    return 0


def _read(file: str) -> bytes:
    from ownerctl.given_file import read_given
    from ownerd.ledger.proof import MAX_PROOF_BYTES
    from ownerd.model.errors import Malformed

    data = read_given(file, "proof", MAX_PROOF_BYTES)
    if len(data) > MAX_PROOF_BYTES:
        raise Malformed("the proof is too large to be one")
    return data


def _json(proven: Proven) -> dict[str, Json]:
    core = proven.leaf.core
    return {
        "ok": True,
        "signed": proven.signed,
        "log": core.log,
        "entry": proven.index,
        "size": proven.checkpoint.size,
        "time": core.time,
        "kind": core.kind.value,
        "approval": proven.leaf.approval is not None,
        "facts": dict(core.facts),
        "opened": {label: one.value for label, one in proven.opened.items()},
        "closed": list(proven.closed),
        "proves": [*(PROVES if proven.signed else PROVES[1:])],
        "proves_not": [*(() if proven.signed else PROVES[:1]), *PROVES_NOT],
    }


def _show(proven: Proven) -> None:
    core = proven.leaf.core
    signed = "by the key that was given" if proven.signed else "not checked: no key was given"
    render.emit_table(
        [
            ("entry", f"{proven.index} of {proven.checkpoint.size}"),
            ("log", core.log),
            ("signed", signed),
            ("time", render.local_time(core.time)),
            ("kind", core.kind.value),
            ("approval", "there, not checked" if proven.leaf.approval is not None else "none"),
            ("closed", ", ".join(proven.closed) or "nothing"),
        ]
    )
    if proven.opened:
        render.emit_line("\nopened:", lines=True)
        render.emit_details({label: one.value for label, one in sorted(proven.opened.items())})
    facts = _json(proven)
    for title, name in (("proven", "proves"), ("not proven", "proves_not")):
        render.emit_line(f"\n{title}:", lines=True)
        for line in facts[name]:
            render.emit_line(f"- {line}")
    if not proven.signed:
        render.note(
            "anybody can make such a file for a log of his own: give --key with the log's verifier key"
        )


__all__ = ["check_proof", "nodes_of", "proof_of", "prove"]
