"""Which pinentry to run, and in what environment.

Trusts a file that root or we own and that nobody else can write. Pinentries that hand what is typed to
another process over D-Bus (gnome3, kwallet) or over a socket (emacs) are refused: by their real name here,
and by the flavor that they report in `ownerd.prompt.pinentry`. What is not known is refused too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ownerd.model.errors import ConfigError

TERMINAL_PROGRAMS: Final = ("pinentry-tty", "pinentry-curses")
GRAPHICAL_PROGRAMS: Final = (
    "pinentry-qt",
    "pinentry-qt6",
    "pinentry-qt5",
    "pinentry-gtk",
    "pinentry-gtk-2",
    "pinentry-fltk",
)
TERMINAL_FLAVORS: Final = frozenset({"tty", "curses"})
GRAPHICAL_FLAVORS: Final = frozenset({"qt", "qt4", "qt5", "qt6", "gtk", "gtk2", "fltk"})
REFUSED_NAMES: Final = ("gnome", "kwallet", "emacs")

_PASSED: Final = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE")
_LOCALE: Final = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES")
_FALLBACK_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


def resolve_program(path: Path) -> Path | None:
    """Real path of a pinentry that may be run, or None."""
    try:
        real = path.resolve(strict=True)
        found = real.stat()
    except (OSError, RuntimeError):
        return None
    named = f"{path.name} {real.name}".lower()
    ours = found.st_uid in {0, os.getuid()} and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    runs = stat.S_ISREG(found.st_mode) and os.access(real, os.X_OK)
    refused = any(name in named for name in REFUSED_NAMES)
    return real if ours and runs and not refused else None


def serves(program: Path, *, graphical: bool) -> bool:
    """Whether a pinentry's name says the wanted kind, or (plain ``pinentry``) none."""
    kinds = {name.removeprefix("pinentry-") for name in TERMINAL_PROGRAMS}
    named = program.name.removeprefix("pinentry-")
    return (named in kinds) != graphical or named == program.name


def require_program(name: str, environment: Mapping[str, str]) -> Path:
    """Return the pinentry that the configuration names: an absolute path, or a name to look for on PATH.

    Raises `ConfigError` when it is not there or may not be run.
    """
    given = Path(name)
    if given.is_absolute():
        found = resolve_program(given)
    else:
        found = find_program([name], environment) if given.name == name else None
    if found is None:
        raise ConfigError("the configured pinentry is missing, open to others, or one that uses d-bus")
    return found


def find_program(names: Sequence[str], environment: Mapping[str, str]) -> Path | None:
    """First of ``names`` on the daemon's PATH that may be run."""
    directories = environment.get("PATH", _FALLBACK_PATH).split(":")
    for name in names:
        for directory in directories:
            if directory.startswith("/") and (real := resolve_program(Path(directory) / name)):
                return real
    return None


def has_display(environment: Mapping[str, str]) -> bool:
    """Whether the daemon was told of a display."""
    return bool(environment.get("WAYLAND_DISPLAY") or environment.get("DISPLAY"))


def child_environment(environment: Mapping[str, str], *, graphical: bool) -> dict[str, str]:
    """The least a pinentry needs. No session bus: what is typed must not leave the process.

    Leaving the bus address out is not enough, as libdbus then looks in ``$XDG_RUNTIME_DIR/bus``; an
    unusable address is. Input methods and the accessibility bus would carry keystrokes: not passed on.
    """
    child = {
        "PATH": environment.get("PATH", _FALLBACK_PATH),
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "NO_AT_BRIDGE": "1",
    }
    child |= {name: environment[name] for name in _LOCALE if name in environment}
    if graphical:
        child |= {name: environment[name] for name in _PASSED if name in environment}
    return child
