"""The manual pages name every command and option that there is, and none that there is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click

from ownerctl.main import cli

MAN = Path(__file__).resolve().parents[2] / "docs" / "man"
OF_EVERY_COMMAND = {"--json", "-v", "--verbose", "-h", "--help"}
COMMANDS = re.compile(r"^\.It Cm (.+)$", re.MULTILINE)


def commands(group: click.Command, prefix: str = "") -> dict[str, set[str]]:
    """Full name of each command, with its own options."""
    if not isinstance(group, click.Group):
        options = {
            option
            for parameter in group.params
            if isinstance(parameter, click.Option)
            for option in [*parameter.opts, *parameter.secondary_opts]
        }
        return {prefix: options - OF_EVERY_COMMAND}
    found: dict[str, set[str]] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found |= commands(command, f"{prefix} {name}".strip())
    return found


def described(page: str) -> dict[str, set[str]]:
    """The same from the page's COMMANDS: words after ``.It Cm`` up to the first macro, and its ``Fl``."""
    found = {}
    for line in COMMANDS.findall(page.split(".Sh COMMANDS")[1].split(".Sh ENVIRONMENT")[0]):
        words = line.split()
        end = next((i for i, word in enumerate(words) if re.fullmatch(r"[A-Z][a-z]", word)), len(words))
        flags = re.findall(r"\bFl (-?[\w-]+)", line)
        found[" ".join(words[:end])] = {f"-{flag}" for flag in flags if flag != "Oc"}
    return found


def test_ownerctl_describes_each_command_with_its_options() -> None:
    page = (MAN / "ownerctl.1").read_text("utf-8")
    assert described(page) == commands(cli)
    for option in OF_EVERY_COMMAND:
        assert f"Fl {option[1:]}" in page


def test_ownerd_describes_each_option() -> None:
    page = (MAN / "ownerd.8").read_text("utf-8")
    shown = subprocess.run(
        [sys.executable, "-c", "from ownerd.app.main import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    there = set(re.findall(r"--[a-z][a-z-]+", shown))
    assert there - {"--help"} == {
        f"-{flag}" for flag in re.findall(r"^\.It Fl (-[\w-]+)", page, re.MULTILINE)
    }


def test_ownerd_describes_each_configuration_key() -> None:
    from ownerd.app.config import Config

    page = (MAN / "ownerd.8").read_text("utf-8").split(".Sh CONFIGURATION")[1].split(".Sh ")[0]
    assert set(re.findall(r"^\.It Li (\w+)", page, re.MULTILINE)) == set(Config.__struct_fields__)


def test_the_exit_codes_of_the_error_table_are_explained() -> None:
    from ownerctl.errors import CommandError
    from ownerd.model.errors import error_table

    page = (MAN / "ownerctl.1").read_text("utf-8").split(".Sh EXIT STATUS")[1].split(".Sh ")[0]
    explained = {int(code) for code in re.findall(r"^\.It (\d+)$", page, re.MULTILINE)}
    errors = [*error_table().values(), *CommandError.__subclasses__()]
    assert {error.exit_code for error in errors} | {0, 130} == explained


def test_pages_have_the_sections_that_readers_look_for() -> None:
    for name in ("ownerctl.1", "ownerd.8"):
        page = (MAN / name).read_text("utf-8")
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "FILES", "EXIT STATUS", "SECURITY"):
            assert f".Sh {section}\n" in page
        assert page.isascii()
