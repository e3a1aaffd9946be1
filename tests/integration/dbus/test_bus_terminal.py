"""Lent terminals, against the terminals of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ownerd.bus.terminal import DEFAULT_LOCALE, DEFAULT_TERM, require_terminal
from ownerd.model.caller import Terminal
from ownerd.model.errors import InvalidArgument, NotAllowed


@pytest.fixture
def tty() -> Iterator[str]:
    controller, terminal = os.openpty()
    yield os.ttyname(terminal)
    os.close(controller)
    os.close(terminal)


def test_the_callers_own_terminal_is_taken(tty: str) -> None:
    assert require_terminal(tty, "xterm-256color", "de_DE.UTF-8", os.getuid()) == Terminal(
        tty, "xterm-256color", "de_DE.UTF-8"
    )
    assert require_terminal(tty, None, None, os.getuid()) == Terminal(tty, DEFAULT_TERM, DEFAULT_LOCALE)


def test_somebody_elses_terminal_is_not(tty: str) -> None:
    for uid in (os.getuid() + 1, None):
        with pytest.raises(NotAllowed):
            require_terminal(tty, None, None, uid)


def test_a_link_elsewhere_that_leads_to_a_terminal_is_not_followed(tty: str, tmp_path: Path) -> None:
    link = tmp_path / "tty"
    link.symlink_to(tty)
    with pytest.raises(InvalidArgument):
        require_terminal(str(link), None, None, os.getuid())


def test_a_terminal_that_is_gone_is_refused() -> None:
    controller, terminal = os.openpty()
    name = os.ttyname(terminal)
    os.close(controller)
    os.close(terminal)
    with pytest.raises(InvalidArgument):
        require_terminal(name, None, None, os.getuid())
