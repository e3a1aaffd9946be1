"""The terminal that this command runs in, as it is lent to the daemon's prompts."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

# What the daemon takes; anything else is left out here, rather than refused there.
_TTY = re.compile(r"/dev/(pts/[0-9]{1,10}|tty[A-Za-z]{0,8}[0-9]{1,4})", re.ASCII)
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z][A-Za-z0-9._@-]{0,63}", re.ASCII)


def terminal_name() -> str | None:
    """Device name of the terminal of standard input or standard error, if it can be lent, or None."""
    for stream in (sys.stdin, sys.stderr):
        try:
            if stream is None or not stream.isatty():
                continue
            name = os.ttyname(stream.fileno())
            if _TTY.fullmatch(name) and Path(name).stat().st_uid == os.getuid():
                return name
        except (OSError, ValueError):
            continue
    return None


def terminal_options() -> dict[str, str]:
    """The options ``tty``, ``term`` and ``locale`` of the bus contract; empty without a terminal."""
    name = terminal_name()
    if name is None:
        return {}
    environment = os.environ
    term = environment.get("TERM", "")
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    options = {"tty": name}
    if _TERM.fullmatch(term):
        options["term"] = term
    if _LOCALE.fullmatch(locale):
        options["locale"] = locale
    return options


def is_interactive() -> bool:
    """Whether a person can be asked on standard input."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def draws_on(tty: str | None) -> bool:
    """Whether standard error writes on ``tty``, which a prompt may be using."""
    if tty is None:
        return False
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), Path(tty).stat())
    except (OSError, ValueError):
        return True
