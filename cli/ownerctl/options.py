"""The options that every command has, given before or after its name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click


class Output(NamedTuple):
    """How to speak: data as JSON or for people, progress in plain lines where there is no terminal."""

    json: bool = False
    verbose: bool = False


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``--verbose``; the command gets them as ``output``."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON value instead of text.")
    @click.option("-v", "--verbose", is_flag=True, help="Say what is waited for, without a terminal too.")
    @functools.wraps(function)
    def command(*args: Any, as_json: bool, verbose: bool, **others: Any) -> Any:
        root = click.get_current_context().find_root().params
        output = Output(as_json or bool(root.get("as_json")), verbose or bool(root.get("verbose")))
        return function(*args, output=output, **others)

    return command


def make_keys_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--make-keys``; the command gets the curve, or None, as ``make_keys``."""
    return click.option(
        "--make-keys",
        is_flag=False,
        flag_value="P-256",
        type=click.Choice(["P-256", "P-384"]),
        help="Make new keys on a PIV card first, in place of those that it has; P-256 unless told."
        " The prompt asks for its management key.",
    )(function)


def examples(*lines: str) -> str:
    """Epilog of a command's help: its examples, each on a line of its own."""
    title = "Examples:" if len(lines) > 1 else "Example:"
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])


def complete_claims(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Claim names that begin with ``typed``, for the shell."""
    from ownerd.model.claim import LABELS

    return [name for name in LABELS if name.startswith(typed)]


def complete_asked(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """As `complete_claims`, of claims that can be asked for and held back."""
    from ownerd.model.claim import OFFERED

    return [name for name in OFFERED if name.startswith(typed)]
