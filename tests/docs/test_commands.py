"""Commands that README and docs/ name exist, with the options that stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ownerctl.main import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    *sorted(map(str, ROOT.glob("docs/**/*.md"))),
]
OF_EVERY_COMMAND = {"--json", "-v", "--verbose", "-h", "--help"}


def named(text: str) -> Iterator[list[str]]:
    """Words after ``ownerctl`` in backticks, and in blocks at the beginning of a line; alternatives one by one."""
    found = re.findall(r"`ownerctl ([^`\n]+)`", text) + re.findall(
        r"^(?: {4})?(?:\$ )?ownerctl (.+)$", text, re.MULTILINE
    )
    for command in found:
        words = re.split(r" +#| \| | > | < ", command)[0].split()
        alternatives = [part for word in words if "|" in word for part in word.split("|")] or [""]
        for one in alternatives:
            yield [one if "|" in word else word.strip("[]…") for word in words]


def wrong(words: list[str]) -> str | None:
    """What of a command there is not."""
    here: click.Command = cli
    for word in words:
        if isinstance(here, click.Group) and re.fullmatch(r"[a-z][a-z-]*", word):
            found = here.get_command(click.Context(here), word)
            if found is None:
                return f"no command {word} in {' '.join(words)}"
            here = found
        elif word.startswith("-") and word not in OF_EVERY_COMMAND:
            options = {
                one for parameter in here.params for one in [*parameter.opts, *parameter.secondary_opts]
            }
            if word.partition("=")[0] not in options:
                return f"no option {word} in {' '.join(words)}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: Path(page).name)
def test_commands_that_a_page_names_exist(page: str) -> None:
    assert not [fault for words in named((ROOT / page).read_text()) if (fault := wrong(words))]


def test_a_command_that_does_not_exist_would_be_found() -> None:
    text = "`ownerctl ledger verify --quick` `ownerctl ledger nothing` `ownerctl lock|unlok`\n    ownerctl data get --nope # x\n"
    assert [wrong(words) for words in named(text)] == [
        None,
        "no command nothing in ledger nothing",
        None,
        "no command unlok in unlok",
        "no option --nope in data get --nope",
    ]
