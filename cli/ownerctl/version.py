"""``ownerctl version``."""

from __future__ import annotations

import platform

import click

from ownerctl import render
from ownerctl.options import Output, examples, output_options


@click.command(epilog=examples("ownerctl version --json"))
@output_options
def version(output: Output) -> None:
    """Show versions."""
    from importlib.metadata import version as installed

    found = {"ownerctl": installed("ownerd"), "python": platform.python_version()}
    if output.json:
        render.emit_json(found)
    else:
        render.emit_line(f"ownerctl {found['ownerctl']} (Python {found['python']})")
