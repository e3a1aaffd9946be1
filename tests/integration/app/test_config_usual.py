"""What the configuration takes for usual, where nobody says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ownerd.app.config import read_config


@pytest.mark.parametrize(("on_terminal", "seconds"), [(False, 60), (True, 28800)])
def test_who_starts_it_on_a_terminal_ends_it(
    on_terminal: bool, seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_terminal)
    path = tmp_path / "config.toml"
    assert read_config(path).locked_seconds == seconds
    path.write_text("idle_seconds = 60\n")
    assert read_config(path).locked_seconds == seconds
    path.write_text("locked_seconds = 30\n")
    assert read_config(path).locked_seconds == 30
