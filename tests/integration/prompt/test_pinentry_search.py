"""Which file is run as the pinentry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ownerd.model.errors import ConfigError
from ownerd.prompt import programs
from ownerd.prompt.pinentry import Pinentry


def make(path: Path, mode: int = 0o700) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("name", ["pinentry-gnome3", "pinentry-kwallet", "pinentry-emacs"])
def test_a_pinentry_that_talks_over_a_bus_is_refused_behind_any_link(tmp_path: Path, name: str) -> None:
    real = make(tmp_path / name)
    assert programs.resolve_program(real) is None
    for link in ("pinentry", "pinentry-qt"):
        (tmp_path / link).symlink_to(real)
        assert programs.resolve_program(tmp_path / link) is None
    innocent = make(tmp_path / "pinentry-x11")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).symlink_to(innocent)
    assert programs.resolve_program(tmp_path / "other" / name) is None
    assert programs.resolve_program(innocent) == innocent


@pytest.mark.parametrize("mode", [0o600, 0o720, 0o702, 0o777])
def test_a_program_that_others_can_write_or_that_does_not_run_is_refused(tmp_path: Path, mode: int) -> None:
    assert programs.resolve_program(make(tmp_path / "pinentry-tty", mode)) is None


def test_a_program_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "pinentry-tty", 0o755)
    if os.getuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert programs.resolve_program(path) is None


def test_the_search_follows_names_first_and_ignores_relative_directories(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a" / "pinentry-curses"), make(tmp_path / "b" / "pinentry-tty")
    path = {"PATH": f":relative:{tmp_path}/a:{tmp_path}/b"}
    assert programs.find_program(programs.TERMINAL_PROGRAMS, path) == second
    second.unlink()
    assert programs.find_program(programs.TERMINAL_PROGRAMS, path) == first
    assert programs.find_program(programs.GRAPHICAL_PROGRAMS, path) is None


@pytest.mark.parametrize(
    "name", ["pinentry-x", "a/pinentry-tty", "./pinentry-tty", "", "..", "/nowhere/pinentry"]
)
def test_a_configured_pinentry_must_be_there(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "a" / "pinentry-tty")
    make(tmp_path / "pinentry-tty")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        Pinentry(program=name, environment={"PATH": f"{tmp_path}/a"})


def test_a_configured_pinentry_serves_its_kind_and_the_search_the_other(tmp_path: Path) -> None:
    display, terminal = make(tmp_path / "pinentry-gtk"), make(tmp_path / "pinentry-tty")
    make(tmp_path / "pinentry-qt")
    session = {"PATH": str(tmp_path)}
    for configured in ("pinentry-gtk", str(display)):
        prompts = Pinentry(program=configured, environment=session)
        assert prompts._find(graphical=True) == display
        assert prompts._find(graphical=False) == terminal
    neither = make(tmp_path / "pinentry")
    prompts = Pinentry(program="pinentry", environment=session)
    assert prompts._find(graphical=True) == prompts._find(graphical=False) == neither
