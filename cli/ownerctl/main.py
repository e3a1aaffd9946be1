"""``ownerctl``: the command tree, and the one place that turns errors into words and exit codes.

Commands are imported when they are called, so that ``--help`` and shell completion stay quick.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from ownerctl import render
from ownerd.model.errors import OwnerdError

COMPLETION_VARIABLE = "_OWNERCTL_COMPLETE"
INTERRUPTED = 130
USAGE = 2

# name: (module, attribute, what ``--help`` says); None as module: a group of its own below.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "setup": ("ownerctl.setup", "setup", "Make the vault and enrol the first token."),
    "status": ("ownerctl.vault", "status", "Show whether the vault is open, and how much there is in it."),
    "unlock": ("ownerctl.vault", "unlock", "Open the vault with a touch on an enrolled token."),
    "lock": ("ownerctl.vault", "lock", "Lock the vault: the daemon forgets every key by ending."),
    "data": ("ownerctl.data", "data", "Keep the data current: set, get, list, import, export, remove."),
    "request": ("ownerctl.request", "request", "Ask for claims as an app does, for scripts."),
    "open": ("ownerctl.open", "open_link", "Answer a provider's openid4vp link over the web."),
    "pending": ("ownerctl.waiting", "pending", "List the requests that wait for you."),
    "approve": ("ownerctl.waiting", "approve", "Show a waiting request on this terminal, to approve it."),
    "refuse": ("ownerctl.waiting", "refuse", "Refuse a waiting request."),
    "watch": ("ownerctl.waiting", "watch", "Lend this terminal to prompts until Ctrl-C."),
    "token": (
        "ownerctl.token",
        "token",
        "See, add, name, test and remove the tokens that open the vault.",
    ),
    "recovery": ("ownerctl.recovery", "recovery", "Make, use and check the recovery code."),
    "provider": (
        "ownerctl.provider",
        "provider",
        "See who holds what; rotate a provider's key, forget a provider.",
    ),
    "policy": (
        "ownerctl.policy",
        "policy",
        "Say beforehand who gets what: show, edit, export, import, explain.",
    ),
    "grant": ("ownerctl.grant", "grant", "See and revoke what providers may repeat without a touch."),
    "receipt": ("ownerctl.receipt", "receipt", "Record what a provider returned for a disclosure."),
    "ledger": ("ownerctl.ledger", "ledger", "Read the ledger, and verify it without the daemon."),
    "witness": (
        "ownerctl.witness",
        "witness",
        "On another device: cosign the heads of a ledger that only grew.",
    ),
    "backup": ("ownerctl.backup", "backup", "Back up vault and ledger into one sealed file."),
    "restore": ("ownerctl.restore", "restore", "Bring a backup back, with a touch or the recovery code."),
    "version": ("ownerctl.version", "version", "Show versions."),
    "completion": ("ownerctl.completion", "completion", "Print the completion script for a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed, in the order of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nFirst steps:\n  ownerctl setup\n  ownerctl data set given_name\n"
    "  ownerctl request --claim given_name\n\n\b\nExit status:\n"
    "  0 done  1 failed  2 usage  3 refused  4 no token  5 ledger tampered\n"
    "  6 a counter-offer that nobody accepted  130 interrupted",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON value instead of text.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is waited for, without a terminal too.")
def cli(as_json: bool, verbose: bool) -> None:  # noqa: FBT001 click passes parameters by name
    """Your data, a touch for each disclosure, and a ledger of it all.

    ownerctl talks to the daemon ownerd on the session bus. Values are typed or piped, never arguments; PINs
    and approvals are asked by the daemon's own prompt, on this terminal or on the desktop.
    """
    del as_json, verbose  # commands read them from the root context


def _usage(error: click.ClickException) -> int:
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"{error.ctx.command_path} --help"
    render.error(error.format_message(), hint)
    return error.exit_code


def run(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code of the error table."""
    try:
        if COMPLETION_VARIABLE in os.environ:
            cli.main(args=arguments, prog_name="ownerctl")
        # Not `cli.main`: it prints on an interruption, which is ours to word.
        with cli.make_context("ownerctl", sys.argv[1:] if arguments is None else arguments) as context:
            result: Any = cli.invoke(context)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return USAGE
    except click.ClickException as error:
        return _usage(error)
    except OwnerdError as error:
        render.error(str(error) or type(error).__name__, getattr(error, "given_hint", "") or error.hint)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort, EOFError):
        render.interrupted()
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output has enough. Keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 -- a traceback repeats values; a place and a type do not
        render.error(f"internal error: {_origin(error)}", "please report it with the command that you gave")
        return 1


def _origin(error: BaseException) -> str:
    """Type and place of a bug of ours, without the text that an exception carries."""
    from pathlib import Path
    from traceback import extract_tb

    frames = extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place


def main() -> None:
    """Entry point."""
    render.prepare_streams()
    sys.exit(run())
