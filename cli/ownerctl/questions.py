"""Questions to the person at the terminal. Asked only where `is_interactive` says that somebody is there."""

from __future__ import annotations

from collections.abc import Sequence

from ownerctl import render
from ownerd.model.errors import OwnerdError


def agree(question: str, *, default: bool) -> bool:
    """Ask for yes or no; Enter alone is ``default``. Raises `EOFError` when nobody is there any more."""
    choices = "[Y/n]" if default else "[y/N]"
    while True:
        answer = render.ask(f"{question} {choices}: ").strip().lower()
        if not answer:
            return default
        if answer in {"y", "yes", "n", "no"}:
            return answer.startswith("y")


def letter(question: str, letters: str) -> str:
    """Ask for one of ``letters``; Enter alone is the first. Raises `EOFError`."""
    while True:
        answer = render.ask(f"{question} [{letters[0].upper()}{letters[1:]}]: ").strip().lower()
        if not answer:
            return letters[0]
        if len(answer) == 1 and answer in letters:
            return answer
        render.note(f"one of {', '.join(letters)}, or enter for {letters[0]}")


def pick(question: str, rows: Sequence[str], *, may_be_none: bool = False) -> int | None:
    """Show ``rows`` with numbers and ask for one; its index, or None for Enter where that is an answer."""
    for number, row in enumerate(rows, 1):
        render.note(f"  {number}  {row}")
    choices = f"[1-{len(rows)}{', enter for none' if may_be_none else ''}]"
    while True:
        answer = render.ask(f"{question} {choices}: ").strip()
        if not answer and may_be_none:
            return None
        if answer.isascii() and answer.isdecimal() and 1 <= int(answer) <= len(rows):
            return int(answer) - 1
        render.note(f"a number from 1 to {len(rows)}{', or enter' if may_be_none else ''}")


def types_exactly(question: str, text: str) -> bool:
    """Whether the person types ``text``, spaces around it aside."""
    return render.ask(question).strip() == text


def say(error: OwnerdError) -> None:
    """Say what went wrong, where a question comes next instead of the end."""
    render.error(str(error) or type(error).__name__, getattr(error, "given_hint", "") or error.hint)
