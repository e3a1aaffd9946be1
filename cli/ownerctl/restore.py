"""``ownerctl restore``: bring a backup back, with a token that was enrolled then, or with the recovery code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerctl.owner import Owner
    from ownerd.model.encoding import Json

_AFTER = """the log has a new key from here on: keep it elsewhere, the old one stays good for what was before
  ownerctl unlock opens the vault; ownerctl ledger verify goes through all of it"""
_LOST = """heads of what is lost keep the vault closed where they are read: open it with the token of this restore, and then, for each
  other token: ownerctl ledger anchor update --older --token TOKEN
  a head file is forgotten: take it away, then ownerctl ledger anchor add file PATH"""


async def _require_locked(owner: Owner) -> dict[str, Json]:
    from ownerctl.errors import StillOpen

    status = await owner.status()
    if status.get("unlocked"):
        raise StillOpen("the vault is open", hint="run ownerctl lock first")
    return status


@click.command(
    epilog=examples(
        "ownerctl restore /media/stick/ownerd.backup",
        "ownerctl restore --code ownerd.backup",
        "ownerctl restore --replace ownerd.backup",
    )
)
@click.argument("path", metavar="FILE", type=click.Path())
@click.option("--replace", is_flag=True, help="Over a vault that is there, which is kept aside.")
@click.option(
    "--older", is_flag=True, help="Although a newer head is kept elsewhere: what is newer is lost for good."
)
@click.option("--code", is_flag=True, help="By recovery code; a present token is enrolled with it.")
@click.option("--token", "token_id", metavar="ID", help="Which token to enrol with --code.")
@click.option(
    "--pin/--no-pin", "pin", default=None, help="Use that token with its PIN.  [default: if it has one]"
)
@click.option("--yes", is_flag=True, help="Do not ask first; the daemon's prompt still does.")
@output_options
def restore(
    path: str,
    replace: bool,  # noqa: FBT001 click passes parameters by name
    older: bool,  # noqa: FBT001
    code: bool,  # noqa: FBT001
    token_id: str | None,
    pin: bool | None,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    output: Output,
) -> None:
    """Bring a backup back, with a touch or the recovery code.

    The token is one that was enrolled when the backup was made. Vault and ledger get new keys, and what is here
    now is kept aside.
    """
    from ownerctl.backup import read_backup
    from ownerctl.errors import UsageTrouble
    from ownerctl.owner import change, converse, members
    from ownerctl.questions import agree
    from ownerctl.terminal import is_interactive
    from ownerd.model.errors import NotAllowed

    if not code and (token_id is not None or pin is not None):
        raise UsageTrouble("--token and --pin are for --code")
    source = Path(path).absolute()
    found = read_backup(source, None)
    status = converse(output, _require_locked)
    if status.get("set_up") and not replace:
        raise NotAllowed("there is a vault already; --replace puts the backup in its place")
    asks = is_interactive() and not output.json
    message: dict[str, Json] = {"change": "restore", "file": str(source), "replace": replace, "older": older}
    if code:
        message |= _choice(output, token_id, pin, asks=asks)
    _tell(found, status)
    if replace and not yes:
        if not asks:
            raise UsageTrouble(
                "replacing a vault needs a person who says so", hint="on a terminal, or with --yes"
            )
        if not agree("replace what is here?", default=False):
            raise UsageTrouble("nothing was restored")
    answer = change(output, message)
    if output.json:
        render.emit_json(answer)
    else:
        rows = [
            ("restored", f"{answer.get('size')} entries"),
            ("entry", answer.get("entry")),
            ("verifier key", answer.get("verifier_key")),
        ]
        if older:
            rows.append(("head on the token", answer.get("head")))
            others = members(answer, "others")
            rows.extend(("another token", f"{one.get('name')} ({one.get('id')})") for one in others)
        render.emit_table(rows)
    render.note(_AFTER)
    if older:
        render.note(_LOST)


def _choice(output: Output, token_id: str | None, pin: bool | None, *, asks: bool) -> dict[str, Json]:  # noqa: FBT001
    from ownerctl.owner import converse
    from ownerctl.present import choose, enrolling, pin_mode, wait_present

    there = converse(output, wait_present)
    token = choose(there, token_id, asks=asks, how="ownerctl restore --code --token ID")
    mode = pin_mode(token, pin)
    render.note(f"{enrolling(token, pin=mode)}, by the recovery code")
    return {"token": token.get("id"), "user_verification": mode}


def _tell(found: dict[str, Json], status: dict[str, Json]) -> None:
    render.note(
        f"the backup has {found['entries']} entries, the newest of {render.local_time(str(found['made']))}"
    )
    if status.get("set_up"):
        render.note(f"the ledger here has {status.get('entries')} entries; it is kept aside")
