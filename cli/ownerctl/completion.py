"""``ownerctl completion``: click's own completion, printed for a shell to read."""

from __future__ import annotations

import click

from ownerctl import render


@click.command(epilog="Example: ownerctl completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    from ownerctl.main import COMPLETION_VARIABLE

    found = get_completion_class(shell)
    assert found is not None
    root = context.find_root().command
    render.emit_raw(found(root, {}, "ownerctl", COMPLETION_VARIABLE).source())
