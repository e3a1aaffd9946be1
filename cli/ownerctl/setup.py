"""``ownerctl setup``: make the vault and enrol its first token."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.owner import Owner
    from ownerd.model.encoding import Json

_POLL_SECONDS = 1.0
_HOW_TO_GET_ONE = """no token is there yet
  plug in a FIDO2 key, or put a FIDO2 card on a reader; or, to try things out without one,
  start a software token in another terminal: ownerd-softtoken
waiting for a token, ctrl-c ends"""
_SOFTWARE_WARNING = """{name} is a software token: its keys lie in a file of yours
  it does not protect against a program that runs as you, nor against a copy of your home directory
  it is for trying out; enrol a hardware token for data that matters"""
_KEEP_KEY = """keep the ledger's verifier key elsewhere, on paper or on another machine
  it shows later that this ledger is yours and was not replaced: ownerctl ledger verify --key KEY"""


async def _tokens(owner: Owner) -> list[dict[str, Any]]:
    from ownerctl.owner import members

    (rows,) = await owner.client.owner_call("Tokens", "List")
    return members({"tokens": rows}, "tokens")


async def _present(owner: Owner) -> list[dict[str, Any]]:
    """Tokens that are there; a person is told how to get one and waited for, a script is not."""
    from ownerctl.errors import NoToken
    from ownerctl.terminal import is_interactive

    found = await _tokens(owner)
    if found:
        return found
    if not is_interactive():
        raise NoToken("no token is there")
    render.note(_HOW_TO_GET_ONE)
    while not found:
        await asyncio.sleep(_POLL_SECONDS)
        found = await _tokens(owner)
    return found


def _describe(token: dict[str, Any]) -> str:
    pin = "with a PIN" if token.get("has_pin") else "without a PIN"
    return f"{token.get('name')} ({token.get('transport')}, {pin})"


def choose(tokens: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    """The token that was named by id or name, the only one, or the one that the person picks."""
    from ownerctl.errors import NoToken, UsageTrouble
    from ownerctl.terminal import is_interactive

    if wanted is not None:
        for token in tokens:
            if wanted in {token.get("id"), token.get("name")}:
                return token
        raise NoToken("the token that was named is not there")
    if len(tokens) == 1:
        return tokens[0]
    if not is_interactive():
        names = ", ".join(str(token.get("id")) for token in tokens)
        raise UsageTrouble(f"several tokens are there: {names}", hint="choose one with --token ID")
    for number, token in enumerate(tokens, 1):
        render.note(f"{number}  {_describe(token)}")
    while True:
        answer = render.ask(f"which token [1-{len(tokens)}]: ").strip()
        if answer.isdecimal() and 1 <= int(answer) <= len(tokens):
            return tokens[int(answer) - 1]


def pin_mode(token: dict[str, Any], wanted: bool | None) -> bool:  # noqa: FBT001 a three-valued option
    """Whether to use the token with its PIN: as asked for, else if it has one."""
    from ownerctl.errors import UsageTrouble

    has_pin = bool(token.get("has_pin"))
    if wanted and not has_pin:
        raise UsageTrouble(
            "the token has no PIN", hint="set one with its maker's tool first, or use --no-pin"
        )
    return has_pin if wanted is None else wanted


@click.command(epilog=examples("ownerctl setup --no-pin"))
@click.option(
    "--token", "wanted", metavar="ID", help="Enrol this token; else the one that is there, or asks."
)
@click.option(
    "--pin/--no-pin", "pin", default=None, help="Use the token with its PIN.  [default: if it has one]"
)
@output_options
def setup(wanted: str | None, pin: bool | None, output: Output) -> None:  # noqa: FBT001 click passes parameters by name
    """Make the vault and enrol the first token.

    Takes two touches. Prints the key that proves later that the ledger is yours.
    """
    from ownerctl.owner import converse

    async def work(owner: Owner) -> tuple[dict[str, Any], dict[str, Json]]:
        from ownerctl.errors import AlreadySetUp

        if (await owner.status()).get("set_up"):
            raise AlreadySetUp("there is a vault already")
        token = choose(await _present(owner), wanted)
        mode = pin_mode(token, pin)
        render.note(f"enrolling {_describe(token)}, used {'with' if mode else 'without'} its PIN")
        message = {"token": token.get("id"), "user_verification": mode}
        return token, await owner.sealed("Agent", "Setup", message)

    token, answer = converse(output, work)
    if output.json:
        render.emit_json(answer)
    else:
        render.emit_table(
            [("vault", "made"), ("token", token.get("name")), ("verifier key", answer.get("verifier_key"))]
        )
    render.note(_KEEP_KEY)
    if token.get("software"):
        render.note(_SOFTWARE_WARNING.format(name=token.get("name")))
