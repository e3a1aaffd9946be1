"""``ownerctl recovery``: the code on paper that opens the vault when no token can.

The code is shown and typed in the daemon's own prompt; it never passes through here or over the bus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, make_keys_option, output_options

if TYPE_CHECKING:
    from ownerctl.owner import Owner
    from ownerctl.present import Token
    from ownerd.model.encoding import Json

_AFTER_USE = """the vault is locked now, and ownerd has ended, as it does then: D-Bus starts it again, or you do
  ownerctl unlock opens the vault with this token
  remove the tokens that you no longer have: ownerctl token list, ownerctl token remove ID
  if the paper may have been seen, replace the code: ownerctl recovery set"""


@click.group()
def recovery() -> None:
    """Make, use and check the recovery code.

    The code opens the vault when no token can, and does nothing but enrol a new token.
    """


@recovery.command("set", epilog=examples("ownerctl recovery set"))
@output_options
def set_code(output: Output) -> None:
    """Make a recovery code, or a new one in place of the old.

    The prompt shows it once, to be written down, and asks for part of it back. Takes a touch.
    """
    from ownerctl.owner import say_done
    from ownerctl.ways_in import keep_code, set_recovery

    answer = set_recovery(output)
    say_done(output, answer, "recovery code set")
    keep_code()


async def _tokens_to_enrol(owner: Owner) -> list[Token]:
    from ownerctl.errors import NoCode, StillOpen
    from ownerctl.present import wait_present
    from ownerd.model.errors import NotSetUp

    status = await owner.status()
    if not status.get("set_up"):
        raise NotSetUp("there is no vault yet")
    if status.get("unlocked"):
        raise StillOpen("the vault is open, so no recovery is needed")
    if status.get("recovery") is False:
        raise NoCode("no recovery code is set")
    return await wait_present(owner)


@recovery.command(epilog=examples("ownerctl recovery use", "ownerctl recovery use soft-2 --no-pin"))
@click.argument("token_id", metavar="[TOKEN]", required=False)
@click.option(
    "--pin/--no-pin", "pin", default=None, help="Use the token with its PIN.  [default: if it has one]"
)
@make_keys_option
@output_options
def use(
    token_id: str | None,
    pin: bool | None,  # noqa: FBT001 click passes parameters by name
    make_keys: str | None,
    output: Output,
) -> None:
    """Open the vault with the code, to enrol a new token.

    The prompt asks for the code; the new token is touched twice. The vault locks afterwards, and is opened
    with the new token from then on.
    """
    from ownerctl.owner import converse, say_done
    from ownerctl.present import choose, enrolling, pin_mode
    from ownerctl.terminal import is_interactive

    asks = is_interactive() and not output.json
    token = choose(converse(output, _tokens_to_enrol), token_id, asks=asks, how="ownerctl recovery use ID")
    mode = pin_mode(token, pin)
    render.note(f"{enrolling(token, pin=mode)}, by the recovery code")
    message: dict[str, Json] = {"token": token.get("id"), "user_verification": mode}
    if make_keys is not None:
        message["make_keys"] = make_keys
    answer = converse(output, lambda owner: owner.sealed("Agent", "Recover", message))
    say_done(output, answer, f"enrolled {token.get('name')}")
    render.note(_AFTER_USE)


@recovery.command(epilog=examples("ownerctl recovery status"))
@output_options
def status(output: Output) -> None:
    """Show whether there is a code, and how much it would bring back."""
    from ownerctl.enrolled import read_enrolled, recovery_line

    found = read_enrolled(output).get("recovery")
    if output.json:
        render.emit_json({"recovery": found})
        return
    render.emit_line(recovery_line(found))
    if found is None:
        render.note("ownerctl recovery set makes one")
    elif isinstance(found, dict) and found.get("providers") != found.get("of"):
        render.note("the other provider keys are added when they are next used")
