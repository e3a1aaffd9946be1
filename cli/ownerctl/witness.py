"""``ownerctl witness``: on another device, cosign the ledger's heads after checking that it only grew.

Needs no daemon and no vault. C2SP tlog-witness and tlog-cosignature, carried by hand.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerd.ledger.cosignature import WitnessKey
    from ownerd.ledger.note import VerifierKey

_dir_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Where this witness keeps its key and what it saw.",
)
_NEW_LOG = "give --log with the verifier key that ownerctl setup printed"
_OTHER_KEY = "if the ledger's keys were renewed, give the new verifier key with --log"


@click.group()
def witness() -> None:
    """On another device: cosign the heads of a ledger that only grew.

    Never an older head, and never one of another history.
    """


@witness.command(epilog=examples("ownerctl witness init --name phone/witness"))
@click.option("--name", default=None, help="The name in its key; letters without spaces or plus.")
@_dir_option
@output_options
def init(name: str | None, directory: Path | None, output: Output) -> None:
    """Make this device's witness key, and print its public half."""
    import platform
    import re

    from ownerctl.witness_state import WitnessState

    host = re.sub(r"[^0-9A-Za-z.-]", "-", platform.node()) or "device"
    _show_key(WitnessState(directory).create(name or f"{host}/ownerd-witness").public, output)


@witness.command(epilog=examples("ownerctl witness key"))
@_dir_option
@output_options
def key(directory: Path | None, output: Output) -> None:
    """Print the witness's verifier key.

    It is what ownerctl ledger anchor add witness takes.
    """
    from ownerctl.witness_state import WitnessState

    _show_key(WitnessState(directory).signer().public, output)


def _show_key(public: WitnessKey, output: Output) -> None:
    from ownerd.ledger.cosignature import format_witness_key

    text = format_witness_key(public)
    if output.json:
        render.emit_json({"verifier_key": text})
    else:
        render.emit_line(text)


@witness.command(
    epilog=examples(
        "ownerctl witness sign --log ownerd/0f…+1a2b3c4d+AZ… first.head > cosigned.note",
        "ownerctl witness sign for-the-witness > cosigned.note",
    )
)
@click.argument("path", metavar="CHECKPOINT", type=click.Path())
@click.option(
    "--log", "log", metavar="VKEY", help="The ledger's verifier key: at first, and after it was renewed."
)
@_dir_option
@output_options
def sign(path: str, log: str | None, directory: Path | None, output: Output) -> None:
    """Cosign a checkpoint of a ledger.

    The checkpoint comes from ownerctl ledger head, with --proof-from once this device has seen the ledger. Refuses one that is older than what this device saw last, or that does not continue it.
    """
    from ownerctl.errors import NothingThere
    from ownerctl.witness_state import Seen, WitnessState
    from ownerd.ledger.cosignature import cosign
    from ownerd.ledger.note import parse_checkpoint, parse_note
    from ownerd.ledger.witness import read_request, verify_growth
    from ownerd.model.errors import BadSignature, NotFound

    request = read_request(_read(path))
    state = WitnessState(directory)
    signer = state.signer()
    claimed = parse_checkpoint(parse_note(request.note).text)
    with state.turn():
        before = state.seen(claimed.origin)
        known = log or (None if before is None else before.log)
        if known is None:
            raise NothingThere("this device has not seen that ledger yet", hint=_NEW_LOG)
        last = None if before is None else parse_checkpoint(parse_note(before.note).text)
        try:
            found = verify_growth(request, _log_key(known), last)
        except BadSignature as error:
            render.note(_OTHER_KEY)
            raise BadSignature("the checkpoint is not signed by the ledger's key") from error
        except NotFound as error:
            size = 0 if last is None else last.size
            raise NothingThere(str(error), hint=f"ownerctl ledger head --proof-from {size}") from error
        signed = cosign(request.note, signer.name, signer.key, int(time.time()))
        state.remember(claimed.origin, Seen(known, signed))
    if output.json:
        render.emit_json({"size": found.size, "note": signed.decode()})
    else:
        render.emit_file(signed.decode())
    seen_before = "nothing" if last is None else f"{last.size} entries"
    render.note(f"cosigned {found.size} entries; {seen_before} seen before")


def _log_key(text: str) -> VerifierKey:
    from ownerd.ledger.note import parse_verifier_key
    from ownerd.model.errors import InvalidArgument, Malformed

    try:
        return parse_verifier_key(text)
    except Malformed as error:
        raise InvalidArgument("not a ledger's verifier key") from error


def _read(path: str) -> bytes:
    from ownerctl.errors import FileTrouble
    from ownerctl.given_file import read_given
    from ownerd.ledger.witness import MAX_REQUEST_BYTES

    content = read_given(path, "checkpoint", MAX_REQUEST_BYTES)
    if len(content) > MAX_REQUEST_BYTES:
        raise FileTrouble("the file is too large to be a checkpoint")
    return content
