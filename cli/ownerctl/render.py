"""The only place that prints.

Standard output is data: a table or a line for people, one JSON value with ``--json``. Everything else
(notes, progress, errors) goes to standard error, lowercase and without a full stop.

Whatever is shown may come from a provider, another app or an imported file, so control, bidirectional and
invisible characters are neutralised here, once, for every way out (a terminal obeys them otherwise).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

# Zero-width joiner and non-joiner change how neighbours are drawn and are needed in several scripts.
_HARMLESS_FORMAT = "\u200c\u200d"
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_LINE_END = "↵"


def is_unsafe(character: str) -> bool:
    """Whether a terminal or a text layout would obey ``character`` instead of drawing it."""
    return character not in _HARMLESS_FORMAT and unicodedata.category(character) in _UNSAFE_CATEGORIES


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def clean(text: object, *, lines: bool = False) -> str:
    r"""Return ``text`` with every unsafe character as a visible ``\uXXXX``.

    A line end becomes ``↵``, so that a value cannot fake a row; with ``lines`` it stays.
    """
    plain = str(text).replace("\r\n", "\n")
    if plain.isascii() and plain.isprintable():
        return plain
    keep = "\n" if lines else ""
    return "".join(
        character
        if character in keep or not is_unsafe(character)
        else _LINE_END
        if character == "\n"
        else _escape(character)
        for character in plain
    )


def format_json(value: Any) -> str:
    r"""One JSON value, readable, exact, and with unsafe characters as ``\uXXXX`` escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if text.replace("\n", " ").isprintable():
        return text
    return "".join(
        json.dumps(character)[1:-1] if character != "\n" and is_unsafe(character) else character
        for character in text
    )


def format_table(rows: Iterable[Sequence[object]], headers: Sequence[str] = ()) -> str:
    """Rows as a table for people. Cells are text: ``01234`` stays ``01234``."""
    from tabulate import tabulate

    cells = [["" if cell is None else clean(cell) for cell in row] for row in rows]
    table = tabulate(
        cells, headers=list(headers), tablefmt="simple" if headers else "plain", disable_numparse=True
    )
    return "\n".join(line.rstrip() for line in str(table).splitlines())


def local_time(text: str) -> str:
    """RFC 3339 UTC as the ledger writes it → local date and time; other text comes back cleaned."""
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return clean(text)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def prepare_streams() -> None:
    """Make both streams survive characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _write(stream: TextIO, text: str) -> None:
    print(text, file=stream)
    stream.flush()


def emit_json(value: Any) -> None:
    """Write one JSON value to standard output."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    _write(sys.stdout, format_json(value) if encoding == "utf8" else json.dumps(value, indent=2))


def emit_line(text: object, *, lines: bool = False) -> None:
    """Write one value or sentence to standard output."""
    _write(sys.stdout, clean(text, lines=lines))


def emit_table(rows: Iterable[Sequence[object]], headers: Sequence[str] = ()) -> None:
    """Write a table to standard output; nothing for no rows."""
    text = format_table(rows, headers)
    if text:
        _write(sys.stdout, text)


def emit_details(members: Mapping[str, Any]) -> None:
    """Write one object as a table of name and value; what is nested goes on lines of its own."""
    rows: list[tuple[str, object]] = []
    for name, value in members.items():
        if isinstance(value, dict) and value:
            rows += [(f"{name}: {inner}", _cell(member)) for inner, member in value.items()]
        elif isinstance(value, list) and value:
            rows += [(name if index == 0 else "", _cell(member)) for index, member in enumerate(value)]
        else:
            rows.append((name, _cell(value)))
    emit_table(rows)


def _cell(value: Any) -> str:
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def emit_file(text: str) -> None:
    """Write the text of a file exactly as it is, or safe for eyes when it goes to a terminal."""
    if sys.stdout.isatty():
        text = clean(text, lines=True)
    sys.stdout.write(text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something about what is going on, on standard error."""
    _write(sys.stderr, clean(text, lines=True))


def _cells(text: str) -> int:
    """Columns of a terminal that ``text`` takes."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def draw(text: str) -> None:
    """Replace the progress line on standard error; the empty text clears it. What is wider than the terminal is cut."""
    shown = clean(text)
    with contextlib.suppress(OSError):
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
        # At its front, as the seconds stand at the end; a second line could not be drawn over.
        while 1 < columns <= _cells(shown):
            shown = "…" + shown[2:]
    sys.stderr.write("\r\x1b[K" + shown)
    sys.stderr.flush()


def error(message: str, hint: str = "") -> None:
    """``ownerctl: error: …`` and ``ownerctl: hint: …``."""
    _write(sys.stderr, f"ownerctl: error: {_sentence(message)}")
    if hint:
        _write(sys.stderr, f"ownerctl: hint: {_sentence(hint)}")


def interrupted() -> None:
    """Say that Ctrl-C ended the command, over the ``^C`` that a terminal has echoed."""
    if sys.stderr.isatty():
        draw("")
    error("interrupted")


def _sentence(text: str) -> str:
    plain = clean(" ".join(str(text).split())).rstrip(".")
    # Lowercase the initial of a sentence, not that of a name or an abbreviation such as PIN.
    if len(plain) > 1 and plain[0].isupper() and plain[1].islower():
        return plain[0].lower() + plain[1:]
    return plain


def ask(prompt: str) -> str:
    """Ask on the terminal, with echo. The question goes to standard error. Raises `EOFError` at its end."""
    sys.stderr.write(clean(prompt))
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
