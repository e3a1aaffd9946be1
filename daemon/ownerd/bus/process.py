"""Reading a caller's label from procfs. What is read belongs to the caller and is read with suspicion."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from ownerd.bus.label import is_interpreter, name_program, parse_cgroup, parse_flatpak_info, parse_start_ticks
from ownerd.model.caller import Confidence

MAX_FILE_BYTES: Final = 64 * 1024
MAX_ARGUMENTS: Final = 16


class ProcessGone(Exception):
    """The process ended, or its number now belongs to another."""


def read_label(proc: Path, pid: int, called_at: float) -> tuple[str, Confidence] | None:
    """Best label of process ``pid``, or None. ``called_at``: seconds of CLOCK_BOOTTIME when it called.

    Raises `ProcessGone`, and `OSError` for whatever cannot be read: a process that hides itself is not
    labelled by what is left to see.
    """
    directory = proc / str(pid)
    started = _start_ticks(directory)
    if started / os.sysconf("SC_CLK_TCK") > called_at:
        raise ProcessGone
    found = _label(directory)
    if _start_ticks(directory) != started:
        raise ProcessGone
    return found


def _label(directory: Path) -> tuple[str, Confidence] | None:
    sandbox = _flatpak_info(directory)
    if sandbox is not None:
        app = parse_flatpak_info(sandbox)
        return (app, Confidence.SANDBOX) if app else None
    app = parse_cgroup(_read_text(directory / "cgroup"))
    if app:
        return app, Confidence.SCOPE
    executable = (directory / "exe").readlink().name.removesuffix(" (deleted)")
    if is_interpreter(executable):
        arguments = _read_text(directory / "cmdline").split("\0")[:MAX_ARGUMENTS]
        executable = name_program(executable, arguments)
    return executable, Confidence.EXECUTABLE


def _flatpak_info(directory: Path) -> str | None:
    root = os.open(directory / "root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _read_text(Path(".flatpak-info"), root)
    except FileNotFoundError:
        return None
    finally:
        os.close(root)


def _read_text(path: Path, directory: int | None = None) -> str:
    """Read a small regular file without following a last link and without waiting for a FIFO's writer."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError("larger than it may be")
    return data.decode("utf-8", "replace")


def _start_ticks(directory: Path) -> int:
    try:
        ticks = parse_start_ticks(_read_text(directory / "stat"))
    except FileNotFoundError as error:
        raise ProcessGone from error
    if ticks is None:
        raise ProcessGone
    return ticks
