"""The policy in the owner's editor: a private directory, the editor, a diff, and another go where it is refused.

The text lies in a directory of its own in ``$XDG_RUNTIME_DIR/ownerd``, mode 0700, so that an editor's swap and backup
files lie there too. The whole directory is removed at the end, also when a signal ends the command; what a killed
one left is removed by the next.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ownerctl import render
from ownerctl.errors import FileTrouble
from ownerctl.given_file import read_given_text
from ownerctl.options import Output
from ownerctl.policy import MAX_POLICY_BYTES, change_policy, read_policy, say_changed
from ownerctl.questions import letter, say
from ownerd.model.errors import OwnerdError
from ownerd.model.paths import runtime_dir

_FILE = "policy.toml"
_EDITORS = ("sensible-editor", "nano", "vi")
_TAB = 4
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_LEFT_BEHIND = re.compile(r"policy-([1-9][0-9]{0,9})-\w+", re.ASCII)
BEGINNING = """\
# Without rules you are asked about everything. The first rule that fits decides; each change takes a touch.
# What a rule may hold: docs/POLICY.md
version = 1

# [[rule]]
# claims = ["birthdate"]
# do = "substitute"      # or allow, grant, refuse, ask
# with = "age_over_18"
"""
_QUESTION = "[s]ave it, [e]dit it again, or [d]iscard it?"


def edit_policy(output: Output) -> int:
    """Read, edit, compare and change the policy, until it is accepted or discarded; returns the exit code."""
    old = read_policy(output)
    with private_directory() as directory:
        path = directory / _FILE
        path.touch(mode=0o600)
        begun = old or BEGINNING
        path.write_bytes(begun.encode("utf-8"))
        code, choice = 0, "e"
        while choice != "d":
            try:
                if choice == "e":
                    run_editor(path)
                new = read_given_text(str(path), "policy", MAX_POLICY_BYTES)
                if new in (old, begun):
                    render.note("nothing changed")
                    return 0
                if choice == "s":
                    say_changed(_send(new, output), output)
                    return 0
                show_difference(old, new)
                choice = letter(_QUESTION, "sed")
            except OwnerdError as error:
                say(error)
                render.note(f"your text is kept in {path} until it is accepted or discarded")
                code, choice = error.exit_code, letter(_QUESTION, "eds")
    render.note("nothing changed, and your text is gone")
    return code


def _send(text: str, output: Output) -> dict[str, object]:
    """Change the policy. Ctrl-C gives the prompt up and not the text."""
    from ownerd.model.errors import Cancelled

    try:
        return change_policy(text, output)
    except KeyboardInterrupt as error:
        raise Cancelled("interrupted") from error


def show_difference(old: str, new: str) -> None:
    """Show the lines that differ, with some around them."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "policy", "changed", lineterm="")
    for line in lines:
        render.note(line.expandtabs(_TAB))


# -- the directory --


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory that only we can enter, removed at the end. Raises `FileTrouble`."""
    home = runtime_dir()
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        found = home.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise FileTrouble("the runtime directory is not ours alone to write")
        _remove_left_behind(home)
        directory = Path(tempfile.mkdtemp(prefix=f"policy-{os.getpid()}-", dir=home))
    except OSError as error:
        hint = "is XDG_RUNTIME_DIR set, and yours?"
        raise FileTrouble("no private file can be made in the runtime directory", hint=hint) from error
    former = {one: signal.getsignal(one) for one in _ENDING}
    try:
        for one, handler in former.items():
            if handler is not signal.SIG_IGN:
                signal.signal(one, _end)
        yield directory
    finally:
        # A second signal would end this too, half done.
        signal.pthread_sigmask(signal.SIG_BLOCK, (*_ENDING, signal.SIGINT))
        shutil.rmtree(directory, ignore_errors=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_ENDING, signal.SIGINT))
        for one, handler in former.items():
            signal.signal(one, handler)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _remove_left_behind(home: Path) -> None:
    """Remove what a command left that was killed."""
    for path in home.iterdir():
        owner = _LEFT_BEHIND.fullmatch(path.name)
        if owner is None:
            continue
        try:
            os.kill(int(owner[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except (PermissionError, OverflowError):
            continue


# -- the editor --


def editor_command() -> list[str]:
    """``$VISUAL``, ``$EDITOR`` or the first of some editors that is there. Raises `FileTrouble`."""
    given = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    try:
        command = shlex.split(given) if given else [name for name in _EDITORS if shutil.which(name)][:1]
    except ValueError as error:
        raise FileTrouble("the editor's command cannot be read", hint="set VISUAL or EDITOR") from error
    if not command:
        raise FileTrouble("there is no editor", hint="set VISUAL or EDITOR to the one that you use")
    return command


def run_editor(path: Path) -> None:
    """Let the owner edit ``path``, and wait. Raises `FileTrouble` when the editor does not end well."""
    command = [*editor_command(), str(path)]
    # Ctrl-C is the editor's while it has the terminal. A handler, unlike SIG_IGN, does not outlive exec.
    former = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        ended = subprocess.run(command, check=False)
    except OSError as error:
        raise FileTrouble("the editor cannot be started", hint="set VISUAL or EDITOR") from error
    finally:
        signal.signal(signal.SIGINT, former)
    if ended.returncode:
        raise FileTrouble("the editor says that it failed", hint="set VISUAL or EDITOR, and edit it again")
