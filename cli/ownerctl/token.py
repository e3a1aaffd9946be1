"""``ownerctl token``: the tokens that open the vault, and the ones that are here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, make_keys_option, output_options

if TYPE_CHECKING:
    from ownerctl.enrolled import Enrolled
    from ownerctl.owner import Owner
    from ownerctl.present import Token
    from ownerd.model.encoding import Json

_ADDED = """try it before you rely on it: ownerctl token test {id}
  a provider's key from before today is added to it when an older token next uses that provider"""
_ADDED_SIGNER = """it approves while the vault is open, and is no way in: it opens neither the vault nor a provider's key
  try it: ownerctl token test {id}"""
_REMOVING_SIGNER = """removing {name} ({id})
  it has only approved, so no key is made anew; one touch on a token that opens the vault"""
_REMOVING = """removing {name} ({id})
  vault, log and opening keys are made anew, with two touches on another token; from then on it opens nothing here
  older copies of the files, such as backups, still open with it: destroy those copies, or reset the token"""
_REMOVED = """the ledger has a new verifier key: keep it elsewhere, next to the old one
  it verifies this ledger from now on: ownerctl ledger verify --key KEY
  older copies of the files still open with the removed token, and no later removal changes that"""


@click.group()
def token() -> None:
    """See, add, name, test and remove the tokens that open the vault.

    Any of them opens the vault and approves, but a card that only signs, which approves. Keep two that open, in
    different places.
    """


async def _here(owner: Owner) -> tuple[bool, list[Token]]:
    from ownerctl.present import present_tokens

    return bool((await owner.status()).get("set_up")), await present_tokens(owner)


@token.command("list", epilog=examples("ownerctl token list"))
@output_options
def list_tokens(output: Output) -> None:
    """List the tokens that are enrolled, and the ones that are here."""
    from ownerctl.enrolled import read_enrolled, recovery_line, texts
    from ownerctl.owner import converse, members

    set_up, here = converse(output, _here)
    found: dict[str, Json] = read_enrolled(output) if set_up else {"tokens": [], "recovery": None}
    rows = sorted(members(found, "tokens"), key=_since)
    if output.json:
        parts: dict[str, object] = {"recovery": found.get("recovery"), "busy": found.get("busy", [])}
        render.emit_json({"tokens": rows, **parts, "present": here})
        return
    if rows:
        render.emit_line("enrolled")
        render.emit_table([_row(row) for row in rows], _COLUMNS)
        render.emit_line("")
    if here:
        render.emit_line("here now")
        names = {row.get("present_id"): row.get("name") for row in rows}
        render.emit_table([_here_row(row, names) for row in here], _HERE_COLUMNS)
        render.emit_line("")
    render.emit_line(recovery_line(found.get("recovery")))
    for busy in texts(found, "busy"):
        render.note(f"cannot be asked now: {busy}")
    if not set_up:
        render.note("there is no vault yet; ownerctl setup makes it")
    elif sum(bool(row.get("opens")) for row in rows) + (found.get("recovery") is not None) < 2:
        render.note("the vault has one single way in; ownerctl token add, ownerctl recovery set")


_COLUMNS = ("id", "name", "kind", "used with", "since entry", "opens the vault", "here as")
_HERE_COLUMNS = ("id", "name", "over", "PIN", "tries left", "enrolled as")


def _since(row: Enrolled) -> int:
    since = row.get("since_entry")
    return since if isinstance(since, int) else 0


def _row(row: Enrolled) -> list[object]:
    from ownerctl.enrolled import kind

    used = "PIN" if row.get("user_verification") else "touch"
    opens = "yes" if row.get("opens") else "no, approves only"
    here = row.get("present_id") or "-"
    return [row.get("id"), row.get("name"), kind(row), used, row.get("since_entry"), opens, here]


def _here_row(row: Token, names: dict[Json, Json]) -> list[object]:
    pin = "yes" if row.get("has_pin") else "no"
    return [
        row.get("id"),
        row.get("name"),
        row.get("transport"),
        pin,
        row.get("pin_tries", "-"),
        names.get(row.get("id"), "-"),
    ]


@token.command(
    epilog=examples(
        "ownerctl token add", "ownerctl token add soft-2 --name spare", "ownerctl token add --make-keys"
    )
)
@click.argument("token_id", metavar="[TOKEN]", required=False)
@click.option(
    "--pin/--no-pin", "pin", default=None, help="Use the token with its PIN.  [default: if it has one]"
)
@click.option("--name", metavar="NAME", help="What to call it.  [default: the name that it reports]")
@make_keys_option
@output_options
def add(
    token_id: str | None,
    pin: bool | None,  # noqa: FBT001 click passes parameters by name
    name: str | None,
    make_keys: str | None,
    output: Output,
) -> None:
    """Enrol one more token, which then opens the vault as well.

    Takes two touches on the new token, then one on a token that is enrolled. Only the named one blinks. A card
    that only signs then approves, and opens nothing.
    """
    from ownerctl.enrolled import read_enrolled
    from ownerctl.owner import converse, members, say_done
    from ownerctl.present import choose, pin_mode, wait_new
    from ownerctl.terminal import is_interactive
    from ownerctl.ways_in import add_token

    asks = is_interactive() and not output.json
    enrolled = members(read_enrolled(output), "tokens")
    there = converse(output, lambda owner: wait_new(owner, enrolled, token_id))
    new = choose(there, token_id, asks=asks, how="ownerctl token add ID")
    taken = {row.get("name") for row in enrolled}
    answer = add_token(output, new, pin=pin_mode(new, pin), taken=taken, name=name, make_keys=make_keys)
    made = answer.get("token")
    shown = made if isinstance(made, dict) else {}
    say_done(output, answer, f"enrolled {shown.get('name')} as {shown.get('id')}")
    advice = _ADDED if shown.get("opens", True) else _ADDED_SIGNER
    render.note(advice.format(id=shown.get("id")))


@token.command("name", epilog=examples("ownerctl token name 3f2a9c0d11e45b67 'blue key'"))
@click.argument("token_id", metavar="ID")
@click.argument("name", metavar="NAME")
@output_options
def rename(token_id: str, name: str, output: Output) -> None:
    """Call an enrolled token by a name of your own. Takes a touch."""
    from ownerctl.owner import change, say_done

    message: dict[str, Json] = {"change": "token-name", "id": _find(output, token_id).get("id"), "name": name}
    answer = change(output, message)
    say_done(output, answer, f"{message['id']} is called {name}")


def _find(output: Output, wanted: str) -> Enrolled:
    from ownerctl.enrolled import find_enrolled, read_enrolled
    from ownerctl.owner import members

    return find_enrolled(members(read_enrolled(output), "tokens"), wanted)


@token.command(epilog=examples("ownerctl token test 3f2a9c0d11e45b67"))
@click.argument("token_id", metavar="ID")
@output_options
def test(token_id: str, output: Output) -> None:
    """Prove with a touch on that very token that it opens the vault.

    Of a card that only signs it proves that it approves.
    """
    from ownerctl.errors import BadAnswer
    from ownerctl.owner import read

    found = _find(output, token_id)
    opens = found.get("opens") is not False
    message: dict[str, Json] = {"what": "token", "id": found.get("id")}
    answer = read(output, message)
    if answer.get("id") != message["id"] or answer.get("opens") is not opens:
        raise BadAnswer("the daemon does not say that this token does what it was enrolled for")
    if output.json:
        render.emit_json(answer)
    else:
        render.emit_line(f"{answer['id']} {'opens the vault' if opens else 'approves, and opens nothing'}")


@token.command(epilog=examples("ownerctl token remove 3f2a9c0d11e45b67"))
@click.argument("token_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask for the token's name first.")
@output_options
def remove(token_id: str, yes: bool, output: Output) -> None:  # noqa: FBT001 click passes parameters by name
    """Remove a token, and make the keys anew that it could open.

    Takes two touches on another token. Copies of the files from before still open with the removed token;
    the last way in cannot be removed. A card that only signs takes one touch, and no key is made anew.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.owner import change
    from ownerctl.questions import types_exactly
    from ownerctl.terminal import is_interactive

    if not yes and (output.json or not is_interactive()):
        raise UsageTrouble("removing a token needs a person who says so", hint="on a terminal, or with --yes")
    found = _find(output, token_id)
    name, opens = str(found.get("name")), found.get("opens") is not False
    render.note((_REMOVING if opens else _REMOVING_SIGNER).format(name=name, id=found.get("id")))
    if not yes and not types_exactly(f"type its name to remove it ({name}): ", name):
        raise UsageTrouble("that is not its name; nothing was removed")
    message: dict[str, Json] = {"change": "token-remove", "id": found.get("id")}
    answer = change(output, message)
    if output.json:
        render.emit_json(answer)
    else:
        rows = [("removed", name), ("entry", answer.get("entry"))]
        render.emit_table([*rows, ("verifier key", answer.get("verifier_key"))] if opens else rows)
    if opens:
        render.note(_REMOVED)


@token.command("pin", epilog=examples("ownerctl token pin"))
@click.argument("token_id", metavar="[TOKEN]", required=False)
@output_options
def change_pin(token_id: str | None, output: Output) -> None:
    """Change the PIN of a token that is here.

    The prompts ask for the old PIN and twice for the new one. A wrong old PIN costs one try.
    """
    from ownerctl.owner import converse
    from ownerctl.present import choose, wait_present
    from ownerctl.terminal import is_interactive

    asks = is_interactive() and not output.json
    chosen = choose(converse(output, wait_present), token_id, asks=asks, how="ownerctl token pin ID")
    identifier = str(chosen.get("id"))
    converse(output, lambda owner: owner.ask("Tokens", "ChangePin", identifier))
    if output.json:
        render.emit_json({"token": identifier, "changed": True})
    else:
        render.emit_line(f"changed the PIN of {chosen.get('name')}")
