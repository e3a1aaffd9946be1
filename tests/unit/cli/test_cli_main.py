"""The command line itself: usage, help, completion names, exit codes. No daemon."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from ownerctl.errors import CommandError, UsageTrouble
from ownerctl.failures import raise_remote
from ownerctl.main import COMMANDS, cli, run
from ownerd.model.errors import NotAllowed, OwnerdError, error_table


def _walk(command: click.Command, context: click.Context) -> list[tuple[str, click.Command]]:
    found = [(context.command_path, command)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += _walk(child, click.Context(child, info_name=name, parent=context))
    return found


ALL = _walk(cli, click.Context(cli, info_name="ownerctl"))
LEAVES = [(path, command) for path, command in ALL if not isinstance(command, click.Group)]


def test_the_tree_is_the_documented_one() -> None:
    assert [path.removeprefix("ownerctl ") for path, _ in LEAVES] == [
        "setup", "status", "unlock", "lock",
        "data export", "data get", "data import", "data list", "data remove", "data set",
        "request", "open", "pending", "approve", "refuse", "watch",
        "token add", "token list", "token name", "token pin", "token remove", "token test",
        "recovery set", "recovery status", "recovery use", "provider forget", "provider list",
        "provider rotate", "provider show", "policy edit", "policy explain", "policy export", "policy import",
        "policy show", "grant list", "grant revoke", "grant show", "receipt",
        "ledger anchor add file", "ledger anchor add witness", "ledger anchor import", "ledger anchor remove",
        "ledger anchor update", "ledger anchors", "ledger check-proof", "ledger erase", "ledger export",
        "ledger head", "ledger log", "ledger prove", "ledger show", "ledger verify",
        "witness init", "witness key", "witness sign",
        "backup check", "backup make", "restore", "version", "completion",
    ]  # fmt: skip


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_command_has_one_line_and_an_example_that_parses(path: str, command: click.Command) -> None:
    assert command.help
    summary = command.help.splitlines()[0]
    assert summary.endswith(".")
    assert len(summary) <= 72
    assert command.epilog
    assert path in command.epilog
    for line in command.epilog.splitlines():
        if (found := re.search(rf"{path}([^|>]*)", line)) is not None:
            command.make_context(path, shlex.split(found[1]))
    options = {name for parameter in command.params for name in parameter.opts}
    assert "--json" in options or path == "ownerctl completion"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_in_help_says_what_the_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help
    assert command.help.splitlines()[0] == COMMANDS[name][2]


def test_help_imports_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "verify it without the daemon" in shown.out


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["frob"], "no such command 'frob'", "ownerctl --help"),
        (["status", "--frob"], "no such option '--frob'", "ownerctl status --help"),
        (["data", "get"], "missing argument 'NAME...'", "ownerctl data get --help"),
        (
            ["ledger", "show", "x"],
            "invalid value for 'SEQ': 'x' is not a valid integer range",
            "ownerctl ledger show --help",
        ),
        (["data", "set", "shoe_size", "-"], "unknown claim 'shoe_size'", None),
        (["request"], "give either --claim NAME or --file FILE", "ownerctl request --help"),
    ],
)
def test_usage_errors_exit_2(
    arguments: list[str], error: str, hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0].startswith(f"ownerctl: error: {error}")
    if hint is not None:
        assert lines[1] == f"ownerctl: hint: {hint}"


@pytest.mark.parametrize("arguments", [[], ["data"], ["ledger"]])
def test_a_group_alone_shows_its_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Usage: ownerctl")


@pytest.mark.parametrize("name", error_table())
def test_remote_errors_come_back_as_themselves(name: str) -> None:
    with pytest.raises(error_table()[name]) as caught:
        raise_remote(f"org.ownerd.Error.{name}", "what happened")
    assert str(caught.value) == "what happened"
    assert caught.value.id == name


def test_unknown_remote_errors_never_pass_for_success() -> None:
    with pytest.raises(NotAllowed):
        raise_remote("Novel", "no", code=1)
    with pytest.raises(CommandError, match="Novel"):
        raise_remote("Novel", "")


def test_a_given_hint_stands_before_the_general_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_context: object) -> None:
        raise UsageTrouble("told so", hint="do that")

    monkeypatch.setattr(cli, "invoke", fail)
    assert run(["version"]) == 2
    assert capsys.readouterr().err == "ownerctl: error: told so\nownerctl: hint: do that\n"


def test_a_bug_of_ours_shows_no_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_context: object) -> None:
        raise ValueError("ada@example.org is odd")

    monkeypatch.setattr(cli, "invoke", fail)
    assert run(["version"]) == 1
    shown = capsys.readouterr()
    assert (shown.out, "ada@example.org" in shown.err) == ("", False)
    assert re.match(r"ownerctl: error: internal error: ValueError at test_cli_main.py:\d+\n", shown.err)


def test_own_errors_keep_the_manners_of_the_table() -> None:
    for error in CommandError.__subclasses__():
        assert issubclass(error, OwnerdError)
        assert error.hint
        assert not error.hint.endswith(".")
        assert error.hint[0].islower()
