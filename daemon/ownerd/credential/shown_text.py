"""Foreign text that a person will read: refused unless what is seen is what is there.

A request's purpose, a certificate's name and unknown claim names end in a prompt. Control characters move
a terminal's cursor, bidi and zero-width characters make text read as something else, and piles of combining
marks cover their neighbours; Unicode Technical Report 36 has the attacks. Homographs remain: the prompt
shows DNS names as they are verified, in their ASCII form.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from ownerd.model.errors import InvalidArgument

MAX_MARKS: Final = 3  # combining marks in a row; written languages need two

_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Default_Ignorable_Code_Point and blanks that are letters, symbols or marks by category.
_INVISIBLE = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}).union(
    range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
)


def is_shown_text(text: str, *, max_chars: int) -> bool:
    """Whether ``text`` is 1 to ``max_chars`` visible characters, single spaces only between words."""
    if not 0 < len(text) <= max_chars or text != " ".join(text.split(" ")).strip() or "  " in text:
        return False
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if category in _REFUSED_CATEGORIES or ord(character) in _INVISIBLE:
            return False
        if category == "Zs" and character != " ":
            return False
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks > MAX_MARKS:
            return False
    return unicodedata.category(text[0]) not in {"Mn", "Me"}


def require_shown_text(text: object, what: str, *, max_chars: int) -> str:
    """Return ``text``. Raises `InvalidArgument` naming ``what`` when it is not fit to be shown."""
    if not isinstance(text, str) or not is_shown_text(text, max_chars=max_chars):
        raise InvalidArgument(f"{what} is not plain visible text of at most {max_chars} characters")
    return text
