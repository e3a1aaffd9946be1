"""Who may hold a token: read from a made-up procfs, and once from the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ownerd.tokens.holders import name_card_users, name_node_users


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    def process(pid: int, name: str, maps: str, *files: str) -> None:
        directory = tmp_path / str(pid)
        (directory / "fd").mkdir(parents=True)
        (directory / "comm").write_text(name + "\n")
        (directory / "maps").write_text(maps)
        for number, target in enumerate(files):
            (directory / "fd" / str(number)).symlink_to(target)

    card = "7f00 r-xp 00000000 00:00 1 /usr/lib/libpcsclite.so.1.0.0\n"
    process(os.getpid(), "ownerd", card, "/dev/hidraw0")
    process(41, "scdaemon", card)
    process(42, "editor", "", "/dev/hidraw1", "/dev/null")
    process(43, "brow\x1b[2Jser", card, "/dev/hidraw0")
    (tmp_path / "44").mkdir()
    (tmp_path / "self").mkdir()
    return tmp_path


def test_programs_with_the_card_library_are_named_and_we_are_not(proc: Path) -> None:
    named = name_card_users("busy", proc=proc)
    assert named == "busy; it may be scdaemon (process 41), brow[2Jser (process 43)"


def test_the_holder_of_a_node_is_named(proc: Path) -> None:
    assert name_node_users("busy", "/dev/hidraw1", proc=proc) == "busy; it may be editor (process 42)"


def test_nobody_is_named_when_nobody_is_seen(proc: Path) -> None:
    assert name_node_users("busy", "/dev/hidraw7", proc=proc) == "busy"


def test_many_are_counted(proc: Path) -> None:
    for pid in range(50, 56):
        (proc / str(pid)).mkdir()
        (proc / str(pid) / "maps").write_text("libpcsclite.so")
        (proc / str(pid) / "comm").write_text("x")
    assert name_card_users("busy", proc=proc).endswith("x (process 50) and 5 more")


def test_a_real_holder_is_found(tmp_path: Path) -> None:
    node = tmp_path / "node"
    code = f"f = open({str(node)!r}, 'w'); print('open', flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        named = name_node_users("busy", str(node))
        process.communicate("\n")
    assert f"(process {process.pid})" in named
