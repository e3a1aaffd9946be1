"""What the service manager is told: sd_notify(3), over a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ownerd.app.manager import VARIABLE, Manager


@pytest.fixture(params=["path", "abstract"])
def heard(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        name = f"@ownerd-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
        made.bind("\0" + name[1:] if name[0] == "@" else name)
        made.settimeout(2)
        monkeypatch.setenv(VARIABLE, name)
        yield made


def test_each_state_is_told_once(heard: socket.socket):
    manager = Manager()
    for status in ("locked", "locked", "unlocked"):
        manager.tell(status)
    manager.tell("locked, ending", ending=True)
    assert heard.recv(200) == b"STATUS=locked\n"
    assert heard.recv(200) == b"STATUS=unlocked\n"
    assert heard.recv(200) == b"STATUS=locked, ending\nSTOPPING=1\n"


def test_children_get_no_address(heard: socket.socket):
    Manager()
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/notify", "vsock:2:1"])
def test_no_manager_is_no_failure(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, address)
    Manager().tell("locked")
