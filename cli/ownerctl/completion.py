"""``ownerctl completion``: click's own completion, printed for a shell to read."""

from __future__ import annotations

import click

from ownerctl import render
from ownerctl.options import examples


@click.command(
    epilog=examples(
        "ownerctl completion bash > ~/.local/share/bash-completion/completions/ownerctl",
        "ownerctl completion fish > ~/.config/fish/completions/ownerctl.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    from ownerctl.main import COMPLETION_VARIABLE

    found = get_completion_class(shell)
    assert found is not None
    root = context.find_root().command
    render.emit_file(found(root, {}, "ownerctl", COMPLETION_VARIABLE).source())
