"""What a name reads as at a glance: letters of other scripts, digits and pairs folded to what they look like.

Small tables, since Python's own library has neither scripts nor confusables. `_LETTERS` are the lowercase
letters of Cyrillic, Greek and Armenian that Unicode's UTS 39 (confusables.txt) maps to ASCII; `_GLANCE` are
more that a hurried reader takes for Latin. Scripts are told by the first word of a letter's Unicode name.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_LETTERS: Final = {
    **dict(zip("абгеорсухѕіјѡѵүһҽԁԛԝ", "a6reopcyxsijwvyhedqw", strict=True)),  # noqa: RUF001 -- the point
    "\u04cf": "l",  # UTS 39 has i; in names it poses as l
    **dict(zip("αγινορσυϱϲϳ", "ayivopoupcj", strict=True)),  # noqa: RUF001
    **dict(zip("ագզհոռսցքօ", "wqqhnnugfo", strict=True)),  # noqa: RUF001
}
_GLANCE: Final = {
    **dict(zip("вкмнпткэ", "bkmhntke", strict=True)),
    **dict(zip("βεηκτχω", "benktxw", strict=True)),
    **dict(zip("ıɑɡłøđħſþƅɩʟ", "iagiodhfpbil", strict=True)),
}
_FOLD: Final = str.maketrans({**_GLANCE, **_LETTERS})
_DIGITS: Final = str.maketrans("0134578", "oleastb")
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))
# Scripts that are written together (UTS 39, section 5.2, highly restrictive).
_TOGETHER: Final = (
    frozenset({"Latin", "Han", "Hiragana", "Katakana"}),
    frozenset({"Latin", "Han", "Bopomofo"}),
    frozenset({"Latin", "Han", "Hangul"}),
)


def reads_as(text: str) -> str:
    """``text`` in the ASCII letters that it looks like, where there are some; marks are dropped."""
    if text.isascii():
        return text
    split = unicodedata.normalize("NFKD", text.translate(_FOLD))
    return "".join(letter for letter in split if not unicodedata.combining(letter)).translate(_FOLD)


def skeleton(text: str) -> str:
    """`reads_as`, with digits for letters and letter pairs folded too; two names that look alike have one."""
    folded = reads_as(text).translate(_DIGITS)
    for pair, letter in _PAIRS:
        folded = folded.replace(pair, letter)
    return folded


def _script(letter: str) -> str:
    first = unicodedata.name(letter, "unknown").split()[0]
    return "Han" if first in {"CJK", "IDEOGRAPHIC"} else first.title()


def scripts(text: str) -> tuple[str, ...]:
    """Scripts of the letters in ``text``, by name, in alphabetical order; digits and marks have none."""
    found = {
        "Latin" if letter.isascii() else _script(letter)
        for letter in unicodedata.normalize("NFKC", text)
        if letter.isalpha()
    }
    return tuple(sorted(found))


def is_mixed(names: tuple[str, ...]) -> bool:
    """Whether these scripts are not written together in one word."""
    return len(names) > 1 and not any(group.issuperset(names) for group in _TOGETHER)


def is_all_confusable(text: str) -> bool:
    """Whether each letter is of another script than Latin and has a Latin double in UTS 39."""
    return bool(text) and all(letter in _LETTERS or letter in "-0123456789" for letter in text)
