"""Text that shows what it is: nothing hidden, nothing reordered, nothing that moves a cursor.

Whoever renders text for an approval passes every foreign part through `show_plain`; the prompt refuses a
text that it would change. Applying it twice changes nothing more.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Control, format (bidi and zero-width among them), surrogate, private, unassigned, line and paragraph separators.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Drawn as nothing although Unicode calls them letters, marks or symbols (default ignorables, U+2800).
_BLANK_LETTERS: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
MAX_MARKS: Final = 4  # combining marks in a row; more of them paint over the lines around


def _is_hidden(character: str) -> bool:
    if unicodedata.category(character) in _HIDDEN or character in _BLANK_LETTERS:
        return True
    return character != " " and unicodedata.category(character) == "Zs"


def show_plain(text: str, *, newlines: bool = False) -> str:
    """Write every character that would not be seen as ``<U+202E>``; newlines stay where ``newlines`` says."""
    shown: list[str] = []
    combining = 0
    for character in text:
        combining = combining + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if newlines and character == "\n":
            shown.append(character)
        elif _is_hidden(character) or combining > MAX_MARKS:
            shown.append(f"<U+{ord(character):04X}>")
        else:
            shown.append(character)
    return "".join(shown)


def is_plain(text: str, *, newlines: bool = False) -> bool:
    """Whether `show_plain` would change nothing."""
    return show_plain(text, newlines=newlines) == text


def shorten(text: str, limit: int) -> str:
    """Cut ``text`` after ``limit`` characters, and say how many more there are."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"
