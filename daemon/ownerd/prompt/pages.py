"""Long texts in pages: a pinentry takes one line of 1,000 bytes, an offer may hold more.

Nothing is left out and nothing is shortened: the pages put together are the text. A text of too many pages
is refused, since nobody would read it.

Qt takes a text for HTML when its first line looks like it (``Qt::mightBeRichText``): a name in it could then hide
the rest. Such a text gets a first line of ours.
"""

from __future__ import annotations

from typing import Final

from ownerd.model.errors import InvalidArgument
from ownerd.prompt.assuan import format_escaped

MAX_PAGES: Final = 24
_HEADING: Final = "[page {number} of {count}]\n"
_HEADING_BYTES: Final = len(format_escaped(_HEADING.format(number=MAX_PAGES, count=MAX_PAGES).encode()))


def keep_plain(text: str) -> str:
    """``text``, with a first line of ours where its own could be taken for markup."""
    first = text.lstrip().partition("\n")[0]
    return _HEADING.format(number=1, count=1) + text if "<" in first or "&" in first else text


def _size(text: str) -> int:
    return len(format_escaped(text.encode("utf-8")))


def _cut(text: str, room_bytes: int) -> str:
    """Longest beginning of ``text`` that fits."""
    used = 0
    for index, character in enumerate(text):
        used += _size(character)
        if used > room_bytes:
            return text[:index]
    return text


def _chunks(text: str, room_bytes: int) -> list[str]:
    """Cut at line ends where there is one in the second half, else anywhere."""
    chunks: list[str] = []
    while text:
        chunk = _cut(text, room_bytes)
        line_end = chunk.rfind("\n") + 1
        if len(chunk) < len(text) and line_end > len(chunk) // 2:
            chunk = chunk[:line_end]
        chunks.append(chunk)
        text = text[len(chunk) :]
        if len(chunks) > MAX_PAGES:
            raise InvalidArgument("the text is too long for a prompt")
    return chunks


def split_pages(text: str, room_bytes: int) -> list[str]:
    """Split ``text`` into pages of at most ``room_bytes`` escaped bytes, numbered when there are several.

    One that may be taken for markup is numbered as well. Raises `InvalidArgument` for an empty text and for more
    than `MAX_PAGES` pages.
    """
    if not text.strip():
        raise InvalidArgument("an empty prompt")
    if _size(keep_plain(text)) <= room_bytes:
        return [keep_plain(text)]
    chunks = _chunks(text, room_bytes - _HEADING_BYTES)
    return [_HEADING.format(number=n, count=len(chunks)) + chunk for n, chunk in enumerate(chunks, 1)]
