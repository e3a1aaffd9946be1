"""``ownerctl setup``: make the vault, enrol its first token, and see to a second way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, make_keys_option, output_options

if TYPE_CHECKING:
    from ownerctl.owner import Owner
    from ownerctl.present import Token
    from ownerd.model.encoding import Json

_SOFTWARE_WARNING = """{name} is a software token: its keys lie in a file of yours
  it does not protect against a program that runs as you, nor against a copy of your home directory
  it is for trying out; enrol a hardware token for data that matters"""
_KEEP_KEY = """keep the ledger's verifier key elsewhere, on paper or on another machine
  it shows later that this ledger is yours and was not replaced: ownerctl ledger verify --key KEY"""


async def _tokens_to_enrol(owner: Owner) -> list[Token]:
    from ownerctl.errors import AlreadySetUp
    from ownerctl.present import wait_present

    if (await owner.status()).get("set_up"):
        raise AlreadySetUp("there is a vault already")
    return await wait_present(owner)


@click.command(epilog=examples("ownerctl setup --no-pin", "ownerctl setup --json --recovery"))
@click.option(
    "--token", "wanted", metavar="ID", help="Enrol this token; else the one that is there, or asks."
)
@click.option(
    "--pin/--no-pin", "pin", default=None, help="Use the token with its PIN.  [default: if it has one]"
)
@make_keys_option
@click.option("--recovery", is_flag=True, help="Make a recovery code too, without asking first.")
@click.option(
    "--single-way-in",
    "said",
    count=True,
    help="Given twice: do not ask for a second way in. The vault is lost with its one token.",
)
@output_options
def setup(
    wanted: str | None,
    pin: bool | None,  # noqa: FBT001 click passes parameters by name
    make_keys: str | None,
    recovery: bool,  # noqa: FBT001 click passes parameters by name
    said: int,
    output: Output,
) -> None:
    """Make the vault and enrol the first token.

    Takes two touches. Prints the key that proves later that the ledger is yours. On a terminal it then
    offers a second way in: another token, or a recovery code on paper.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.owner import converse
    from ownerctl.present import choose, enrolling, pin_mode
    from ownerctl.terminal import is_interactive

    if recovery and said:
        raise UsageTrouble("--recovery and --single-way-in contradict each other")
    asks = is_interactive() and not output.json
    token = choose(converse(output, _tokens_to_enrol), wanted, asks=asks, how="choose one with --token ID")
    mode = pin_mode(token, pin)
    render.note(enrolling(token, pin=mode))
    message: dict[str, Json] = {"token": token.get("id"), "user_verification": mode}
    if make_keys is not None:
        message["make_keys"] = make_keys
    answer = converse(output, lambda owner: owner.sealed("Agent", "Setup", message))
    if not output.json:
        _show(token, answer)
    _second_way_in(output, token, answer, recovery=recovery, said=said, asks=asks)


def _show(token: Token, answer: dict[str, Json]) -> None:
    render.emit_table(
        [("vault", "made"), ("token", token.get("name")), ("verifier key", answer.get("verifier_key"))]
    )
    _advise(token)


def _advise(token: Token) -> None:
    render.note(_KEEP_KEY)
    if token.get("software"):
        render.note(_SOFTWARE_WARNING.format(name=token.get("name")))


def _second_way_in(
    output: Output, token: Token, answer: dict[str, Json], *, recovery: bool, said: int, asks: bool
) -> None:
    """See to the second way in, after the vault is made and whatever becomes of it."""
    from ownerctl.ways_in import TWICE, ask_for_another_way, keep_code, set_recovery, warn_of_one_way

    made: dict[str, Json] = {}
    try:
        if recovery:
            made = {"recovery": set_recovery(output)}
            keep_code()
    finally:
        # One JSON value, also when only the code failed: the vault is made, and its key is said only here.
        if output.json:
            render.emit_json({**answer, **made})
            _advise(token)
    if recovery or said >= TWICE:
        return
    if asks:
        ask_for_another_way(output, token, said=said)
    else:
        warn_of_one_way(token)
