"""``web_allow_private`` of config.toml: only the owner's own file lifts the limit, and nonsense lifts nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ownerctl.open_config import allows_private
from ownerd.app.config import read_config
from ownerd.model.errors import ConfigError, UnsafeFile


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("idle_seconds = 60\nweb_allow_private = true\n")
    path.chmod(0o600)
    return path


def test_the_key_and_nothing_else_is_read(config: Path) -> None:
    assert allows_private(config)
    config.write_text("unheard_of = 1\n")
    assert not allows_private(config)
    assert not allows_private(config.with_name("absent.toml"))


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(config: Path, mode: int) -> None:
    config.chmod(mode)
    with pytest.raises(UnsafeFile):
        allows_private(config)


@pytest.mark.parametrize("value", ["1", '"true"', "[true]", "{}"])
def test_only_true_is_true(config: Path, value: str) -> None:
    config.write_text(f"web_allow_private = {value}\n")
    with pytest.raises(ConfigError, match="neither true nor false"):
        allows_private(config)
    with pytest.raises(ConfigError, match="neither true nor false"):
        read_config(config)


@pytest.mark.parametrize("raw", [b"web_allow_private =", b"\xff", b"#" * 70_000])
def test_what_is_not_toml_is_refused(config: Path, raw: bytes) -> None:
    config.write_bytes(raw)
    with pytest.raises(ConfigError):
        allows_private(config)


def test_a_pipe_or_a_directory_in_its_place_does_not_hold_the_tool(tmp_path: Path) -> None:
    pipe = tmp_path / "config.toml"
    os.mkfifo(pipe, 0o600)
    for path in (pipe, tmp_path):
        with pytest.raises((UnsafeFile, ConfigError)):
            allows_private(path)


def test_the_daemon_knows_the_key(config: Path) -> None:
    assert read_config(config).idle_seconds == 60
