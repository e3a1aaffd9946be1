"""Labels of apps: how the texts are read that say who a caller seems to be. Pure.

Everything here comes from the caller's own surroundings and may be forged by another process of the same
user, so a label is shown with its confidence and never authorises (DESIGN section 4, step 1).
"""

from __future__ import annotations

import re
from typing import Final

MAX_LABEL_CHARACTERS: Final = 64
UNKNOWN_LABEL: Final = "unknown"

# Flatpak: a reverse-DNS name of at most 255 characters; snap: name and app of lowercase letters.
_FLATPAK_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+", re.ASCII)
_SNAP_PROFILE = re.compile(r"snap\.([a-z0-9-]+)\.[A-Za-z0-9-]+ \(enforce\)", re.ASCII)
_INTERPRETER = re.compile(r"(python|perl|ruby|node|bash|sh|dash|php|lua|java)[0-9.]*", re.ASCII)
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})", re.ASCII)


def clean_text(text: str, limit: int) -> str:
    """``text`` as one line of at most ``limit`` printable characters.

    ``str.isprintable`` refuses control characters, bidirectional and zero-width format characters, lone
    surrogates and every blank but the space.
    """
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    line = " ".join(shown.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clean_label(text: str) -> str | None:
    """``text`` as a label, or None when nothing of it can be shown."""
    return clean_text(text, MAX_LABEL_CHARACTERS) or None


def parse_flatpak_info(text: str) -> str | None:
    """App id from the contents of ``/.flatpak-info``, or None when there is none that holds."""
    import configparser

    parser = configparser.RawConfigParser(strict=True, delimiters=("=",), interpolation=None)
    try:
        parser.read_string(text)
        name = parser.get("Application", "name")
    except configparser.Error:
        return None
    return name if len(name) <= 255 and _FLATPAK_ID.fullmatch(name) else None


def parse_security_label(label: bytes) -> str | None:
    """Snap's name from the AppArmor label that the bus daemon read at connect time, or None."""
    try:
        found = _SNAP_PROFILE.fullmatch(label.rstrip(b"\0").decode("ascii"))
    except UnicodeDecodeError:
        return None
    return found[1] if found else None


def parse_cgroup(text: str) -> str | None:
    r"""App id from ``/proc/PID/cgroup`` (cgroup v2), or None.

    Names are those of systemd's "Desktop Environments" page: ``app[-<launcher>]-<id>-<random>.scope`` and
    ``app[-<launcher>]-<id>[@<random>].service``, where a dash inside a part is written ``\x2d``. The
    innermost such unit counts.
    """
    lines = [line for line in text.splitlines() if line.startswith("0::/")]
    if len(lines) != 1:
        return None
    for part in reversed(lines[0].removeprefix("0::/").split("/")):
        found = _parse_unit(part)
        if found is not None:
            return found
    return None


def _parse_unit(unit: str) -> str | None:
    if not unit.startswith("app-"):
        return None
    if unit.endswith(".scope"):
        name, dash, random = unit[4:-6].rpartition("-")
        if not dash or not random:
            return None
    elif unit.endswith(".service"):
        name = unit[4:-8].partition("@")[0]
    else:
        return None
    parts = name.split("-")
    if len(parts) > 2 or not all(parts):
        return None
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), parts[-1])


def is_interpreter(executable: str) -> bool:
    """Whether the name of an executable says little, because it runs scripts."""
    return _INTERPRETER.fullmatch(executable) is not None


def name_program(executable: str, arguments: list[str]) -> str:
    """Name a script by its file or module, and the interpreter that runs it.

    ``ownerctl (python3.11)`` says more than ``python3.11``. Either is what the process shows of itself, and
    may be forged; the confidence says so.
    """
    for position, argument in enumerate(arguments[1:], 1):
        if argument == "-m" and position + 1 < len(arguments):
            return f"{arguments[position + 1]} ({executable})"
        if argument.startswith("-c"):
            break
        if not argument.startswith("-"):
            return f"{argument.rpartition('/')[2]} ({executable})"
    return executable


def parse_start_ticks(stat: str) -> int | None:
    """Start time (clock ticks since boot, field 22) from ``/proc/PID/stat``, or None."""
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20 or not fields[19].isascii() or not fields[19].isdigit():
        return None
    return int(fields[19])
