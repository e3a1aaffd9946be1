#!/usr/bin/env python3
"""Write the generated part of docs/ARCHITECTURE.md: the error table, from ``ownerd.model.errors``.

``docs/generate.py`` rewrites what stands between the two marks; ``docs/generate.py --check`` changes nothing
and fails when it would.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Final

from ownerd.model.errors import error_table

DOCUMENT: Final = Path(__file__).with_name("ARCHITECTURE.md")
BEGIN: Final = "<!-- errors -->\n"
END: Final = "<!-- /errors -->\n"


def format_errors() -> str:
    """Return the error table as Markdown; D-Bus names are ``org.ownerd.Error.`` and the name."""
    lines = ["| error | exit | meaning | hint |", "| --- | --- | --- | --- |"]
    for name, error in error_table().items():
        meaning = (inspect.getdoc(error) or "").split("\n\n", 1)[0].replace("\n", " ")
        cells = [f"`{name}`", str(error.exit_code), meaning.replace("``", "`"), error.hint]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def renew(text: str) -> str:
    """Put the current table between the marks. Raises `ValueError` when they are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(
            f"{DOCUMENT.name} needs {BEGIN.strip()} and {END.strip()} once each, on lines of their own"
        )
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    return f"{head}{BEGIN}{format_errors()}{END}{tail}"


def main(arguments: list[str]) -> int:
    """Rewrite or check; returns the exit code."""
    written = DOCUMENT.read_text("utf-8")
    renewed = renew(written)
    if written == renewed:
        return 0
    if "--check" in arguments:
        sys.stderr.write("docs/ARCHITECTURE.md: the error table is out of date; run docs/generate.py\n")
        return 1
    DOCUMENT.write_text(renewed, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
