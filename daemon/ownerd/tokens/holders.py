"""Which programs may hold a card or a token node: said when one is busy, so that the owner knows what to close.

Read from procfs: of our own user, and only of processes that let themselves be read. A guess to show, nothing
rests on it.

A busy software token names nobody. Procfs does not say who is at the other end of a Unix socket, being connected
to the token is not using it, and CTAPHID's "busy" is one byte; only the token itself knows whom it serves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

MAX_NAMED: Final = 3
_CARD_LIBRARY: Final = "libpcsclite.so"


def name_card_users(text: str, *, proc: Path = Path("/proc")) -> str:
    """Return ``text`` and the programs that have the PC/SC library loaded, ourselves left out."""
    return _name(
        text, proc, lambda process: _CARD_LIBRARY in (process / "maps").read_text("utf-8", "replace")
    )


def name_node_users(text: str, node: str, *, proc: Path = Path("/proc")) -> str:
    """Return ``text`` and the programs that have the device ``node`` open, ourselves left out."""

    def holds(process: Path) -> bool:
        return any(_target(descriptor) == node for descriptor in (process / "fd").iterdir())

    return _name(text, proc, holds)


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


def _name(text: str, proc: Path, holds: Callable[[Path], bool]) -> str:
    named = list(_programs(proc, holds))
    if not named:
        return text
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return f"{text}; it may be {', '.join(named[:MAX_NAMED])}{more}"


def _programs(proc: Path, holds: Callable[[Path], bool]) -> Iterator[str]:
    for process in sorted(proc.iterdir()):
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if holds(process):
                name = (process / "comm").read_text("utf-8", "replace").strip()
                plain = "".join(character for character in name if character.isprintable())
                yield f"{plain[:32]} (process {process.name})"
        except OSError:
            continue  # gone, or not ours to read
