"""``ownerctl data``: the owner's claims. Values come from the terminal or a pipe, never from arguments."""

from __future__ import annotations

import sys

import click

from ownerctl import render
from ownerctl.card import export, import_vcard
from ownerctl.claims import change_claims, read_claims, require_names
from ownerctl.options import Output, complete_claims, examples, output_options


@click.group()
def data() -> None:
    """Keep the data current: set, get, list, import, export, remove.

    Every read and every change takes a touch, and becomes an entry in the ledger.
    """


@data.command("list", epilog=examples("ownerctl data list"))
@output_options
def list_claims(output: Output) -> None:
    """List every claim with its value, source and date."""
    rows = read_claims(output, None)
    if output.json:
        render.emit_json({"claims": rows})
        return
    columns = ("name", "value", "source", "changed", "version")
    table = [
        [
            render.local_time(str(row.get(column))) if column == "changed" else row.get(column)
            for column in columns
        ]
        for row in rows
    ]
    render.emit_table(table, ("claim", *columns[1:]) if table else ())
    if not rows:
        render.note("the vault holds no claims; ownerctl data set NAME adds one")


@data.command(epilog=examples("ownerctl data get email"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_claims)
@output_options
def get(names: tuple[str, ...], output: Output) -> None:
    """Print the value of one claim, or a table of several."""
    wanted = require_names(names)
    values = {row.get("name"): row.get("value") for row in read_claims(output, wanted)}
    if output.json:
        render.emit_json({name: values[name] for name in wanted})
    elif len(wanted) == 1:
        render.emit_line(values[wanted[0]], lines=True)
    else:
        render.emit_table([(name, values[name]) for name in wanted], ("claim", "value"))


def _typed_value(name: str, given: str | None) -> str:
    """The value from standard input, or asked for on the terminal."""
    from ownerctl.errors import UsageTrouble
    from ownerctl.terminal import is_interactive
    from ownerd.model.claim import MAX_VALUE_BYTES, claim_label

    if given is None and is_interactive():
        value = render.ask(f"{claim_label(name)} ({name}): ").strip()
    else:
        raw = sys.stdin.buffer.read(MAX_VALUE_BYTES + 2)
        try:
            value = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise UsageTrouble("the value is not UTF-8 text") from error
    if not value:
        raise UsageTrouble("the value is empty", hint=f"ownerctl data remove {name} takes a claim away")
    if len(value.encode("utf-8", "surrogatepass")) > MAX_VALUE_BYTES:
        raise UsageTrouble(f"the value is longer than {MAX_VALUE_BYTES} bytes")
    return value


@data.command(
    "set",
    epilog=examples("ownerctl data set email", "pass show email | ownerctl data set email -"),
)
@click.argument("name", shell_complete=complete_claims)
@click.argument("source", required=False, metavar="[-]")
@output_options
def set_claim(name: str, source: str | None, output: Output) -> None:
    """Set one claim; asks for the value, or reads it from a pipe.

    The value is typed on the terminal, or read from standard input with - or where there is no terminal.
    """
    from ownerctl.errors import UsageTrouble

    (name,) = require_names((name,))
    if source not in (None, "-"):
        hint = f"ownerctl data set {name} asks for it, and with - reads it from a pipe"
        raise UsageTrouble("a value is no argument: any process could read it", hint=hint)
    value = _typed_value(name, source)
    change_claims(output, {"change": "set", "claims": [{"name": name, "value": value, "source": "owner"}]})


@data.command(epilog=examples("ownerctl data remove website"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_claims)
@output_options
def remove(names: tuple[str, ...], output: Output) -> None:
    """Remove claims. What was disclosed stays disclosed, and in the ledger."""
    change_claims(output, {"change": "remove", "names": require_names(names)})


data.add_command(import_vcard)
data.add_command(export)
