"""``ownerctl policy``: how the daemon answers for its owner, as text that people read and write.

The text can hold values, so it crosses the bus sealed only. The daemon alone reads it: what is wrong with it, and in
which rule, is said by its error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

MAX_POLICY_BYTES = 64 * 1024
_TAB = 4
_DECIDED = ("claim", "what", "action", "rule", "why")  # of the daemon's members, those for people
# What still fits into one sealed message, in base64 and with JSON's escapes.
_MAX_REQUEST_BYTES = 128 * 1024


@click.group()
def policy() -> None:
    """Say beforehand who gets what: show, edit, export, import, explain.

    Rules are tried from the first to the last, and what no rule decides is asked. Every look and every change
    takes a touch, and becomes an entry in the ledger.
    """


def read_policy(output: Output) -> str:
    """The policy as it stands; one touch. Raises `BadAnswer`."""
    from ownerctl.errors import BadAnswer
    from ownerctl.owner import read

    text = read(output, {"what": "policy"}).get("policy")
    if not isinstance(text, str):
        raise BadAnswer("the answer has no policy")
    return text


def change_policy(text: str, output: Output) -> dict[str, Json]:
    """Put ``text`` in the place of the policy; one touch. Raises `UsageTrouble`, naming the rule that is wrong."""
    from ownerctl.errors import UsageTrouble
    from ownerctl.owner import change
    from ownerd.model.errors import InvalidArgument

    message: dict[str, Json] = {"change": "policy", "text": text}
    try:
        return change(output, message)
    except InvalidArgument as error:
        hint = "nothing changed; docs/POLICY.md and ownerctl(1) say what a rule may have"
        raise UsageTrouble(str(error), hint=hint) from error


def say_changed(answer: dict[str, Json], output: Output) -> None:
    """Say what was recorded."""
    from ownerctl.owner import say_done

    say_done(output, answer, "policy changed")


@policy.command(epilog=examples("ownerctl policy show"))
@output_options
def show(output: Output) -> None:
    """Print the policy."""
    text = read_policy(output)
    if output.json:
        render.emit_json({"policy": text})
        return
    shown = text.expandtabs(_TAB) if sys.stdout.isatty() else text
    render.emit_file(shown if shown.endswith("\n") or not shown else f"{shown}\n")
    if not text.strip():
        render.note("there is no policy, so you are asked about everything; ownerctl policy edit makes one")


@policy.command(epilog=examples("ownerctl policy export policy.toml"))
@click.argument("file", type=click.Path(allow_dash=True), metavar="FILE")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@output_options
def export(file: str, force: bool, output: Output) -> None:  # noqa: FBT001 click passes parameters by name
    """Write the policy to a file that only you can read.

    With - it goes to standard output. It can hold values: keep the file as you keep those.
    """
    from ownerctl.private_file import require_place, write_private

    path = None if file == "-" else Path(file)
    if path is not None and not force:
        require_place(path)
    text = read_policy(output)
    if path is None:
        if output.json:
            render.emit_json({"policy": text})
        else:
            render.emit_file(text)
        return
    write_private(path, text.encode("utf-8"), replace=force)
    if output.json:
        render.emit_json({"file": file})
    else:
        render.emit_line(f"policy written to {file}")


@policy.command("import", epilog=examples("ownerctl policy import policy.toml"))
@click.argument("file", type=click.Path(allow_dash=True), metavar="FILE")
@output_options
def import_policy(file: str, output: Output) -> None:
    """Put the policy of a file in the place of the present one, with a touch.

    The prompt shows what changes. A policy that is not right in every rule changes nothing.
    """
    from ownerctl.given_file import read_given_text

    say_changed(change_policy(read_given_text(file, "policy", MAX_POLICY_BYTES), output), output)


@policy.command(epilog=examples("VISUAL=nano ownerctl policy edit"))
@output_options
def edit(output: Output) -> int:
    """Change the policy in your editor ($VISUAL, $EDITOR).

    Takes a touch to read it, and one to change it after you have seen what differs. The text lies meanwhile in a directory that only you can enter, and is gone at the end in every case. As long
    as something is wrong with it, it is kept there, until it is accepted or you discard it.
    """
    from ownerctl.errors import UsageTrouble
    from ownerctl.policy_edit import edit_policy
    from ownerctl.terminal import is_interactive

    if output.json or not is_interactive():
        hint = "ownerctl policy export FILE, change it, ownerctl policy import FILE"
        raise UsageTrouble("there is no terminal to edit on", hint=hint)
    return edit_policy(output)


@policy.command(epilog=examples("ownerctl policy explain request.jwt"))
@click.argument("request", type=click.Path(allow_dash=True), metavar="REQUEST")
@output_options
def explain(request: str, output: Output) -> None:
    """Say what the policy makes of a request, and which rule decides why.

    Nothing is sent. REQUEST is a file with a request object, signed or as JSON; - reads standard input.
    """
    from ownerctl.given_file import read_given_text
    from ownerctl.owner import read

    text = read_given_text(request, "request", _MAX_REQUEST_BYTES).strip()
    message: dict[str, Json] = {"what": "explain", "request": text}
    answer = read(output, message)
    if output.json:
        render.emit_json(answer)
    else:
        _show_explained(answer)


def _show_explained(answer: dict[str, Any]) -> None:
    from ownerctl.owner import members

    asker = answer.get("asker")
    if isinstance(asker, dict):
        render.emit_details({"asker": asker})
    rows = members(answer, "decisions")
    if rows:
        columns = tuple(name for name in _DECIDED if any(name in row for row in rows))
        render.emit_line("")
        render.emit_table([[row.get(name) for name in columns] for row in rows], columns)
    rest = {name: value for name, value in answer.items() if name not in {"asker", "decisions"} and value}
    if rest:
        render.emit_line("")
        render.emit_details(rest)
