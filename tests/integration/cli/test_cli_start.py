"""How the tool starts: lazily; and what a shell gets from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.rigs.bus import require_rig
from tests.rigs.cli import TOOL, Desk

HEAVY = [
    "asyncio",
    "cryptography",
    "joserfc",
    "dbus_fast",
    "dbus_next",
    "tabulate",
    "sqlite3",
    "ownerctl.client",
]


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from ownerctl.main import run
assert run(["--help"]) == 0
sys.exit(f"imported {{sorted(set(sys.modules) & set({HEAVY}))}}" if set(sys.modules) & set({HEAVY}) else 0)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.fixture
def shell_home(tmp_path: Path) -> Desk:
    """A desk whose PATH has an ``ownerctl``."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "ownerctl"
    program.write_text(f"#!{sys.executable}\n{TOOL[2]}\n")
    program.chmod(0o755)
    return Desk(tmp_path, "unix:path=/nonexistent")


def _complete(desk: Desk, line: str) -> list[str]:
    """What bash would offer after ``line``."""
    words = line.split(" ")
    script = f"""
eval "$(ownerctl completion bash)"
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
_ownerctl_completion ownerctl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    env = {**desk.env, "PATH": f"{desk.home}/bin:{desk.env['PATH']}"}
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.split()


def test_bash_completes_commands_and_claims(shell_home: Desk) -> None:
    assert _complete(shell_home, "ownerctl l") == ["lock", "ledger"]
    assert _complete(shell_home, "ownerctl ledger v") == ["verify"]
    assert _complete(shell_home, "ownerctl data get address.l") == ["address.locality"]
    assert _complete(shell_home, "ownerctl request --claim giv") == ["given_name"]
    assert _complete(shell_home, "ownerctl setup --no") == ["--no-pin"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_takes(shell_home: Desk, shell: str) -> None:
    ran = shell_home.run("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert "_OWNERCTL_COMPLETE" in ran.out
    if shell == "bash":
        require_rig("bash")
    if shutil.which(shell):
        check = subprocess.run([shell, "-n"], input=ran.out, capture_output=True, text=True, check=False)
        assert (check.returncode, check.stderr) == (0, "")


def test_a_closed_pipe_is_no_traceback(shell_home: Desk) -> None:
    command = f"{sys.executable} -c '{TOOL[2]}' completion bash | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=shell_home.env, check=False
    )
    assert ran.stderr == ""
    assert ran.stdout.strip() in {"0", "1"}
