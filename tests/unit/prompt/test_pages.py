"""Long texts in pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.model.errors import InvalidArgument
from ownerd.prompt.assuan import format_command, format_escaped, room_for
from ownerd.prompt.pages import MAX_PAGES, keep_plain, split_pages

ROOM = room_for("SETDESC")


def test_a_short_text_is_one_page_without_a_heading() -> None:
    assert split_pages("a\nb", ROOM) == ["a\nb"]
    assert split_pages("x" * ROOM, ROOM) == ["x" * ROOM]


@given(st.text(alphabet="ab%\näü€😀 ", min_size=1, max_size=4000))
def test_pages_put_together_are_the_text_and_each_can_be_sent(text: str) -> None:
    if not text.strip():
        return
    pages = split_pages(text, ROOM)
    if len(pages) > 1:
        headings = [page.split("\n", 1)[0] for page in pages]
        assert headings == [f"[page {n} of {len(pages)}]" for n in range(1, len(pages) + 1)]
        pages = [page.split("\n", 1)[1] for page in pages]
    assert "".join(pages) == text
    for page in split_pages(text, ROOM):
        format_command("SETDESC", page)
        assert len(format_escaped(page.encode())) <= ROOM


def test_pages_end_at_line_ends_where_they_can() -> None:
    first, second = split_pages("\n".join(f"line {n:04}" for n in range(150)), ROOM)[:2]
    assert first.endswith("\n")
    assert second.split("\n")[1].startswith("line ")


@pytest.mark.parametrize(
    "text", ["<b>x</b> asks\nb", "\n  <font color=white>\nb", "a &lt; b\nc", "<!-- a\nb", "<U+202E>\nb"]
)
def test_what_qt_may_take_for_html_begins_with_a_line_of_ours(text: str) -> None:
    assert split_pages(text, ROOM) == [f"[page 1 of 1]\n{text}"]
    assert keep_plain(text) == f"[page 1 of 1]\n{text}"
    long = text + "x" * ROOM
    assert [page.split("\n")[0] for page in split_pages(long, ROOM)] == ["[page 1 of 2]", "[page 2 of 2]"]
    assert keep_plain("a\n<b>") == "a\n<b>", "it looks at the first line alone"


def test_too_many_pages_are_refused() -> None:
    assert len(split_pages("x" * 950 * MAX_PAGES, ROOM)) == MAX_PAGES
    with pytest.raises(InvalidArgument, match="too long"):
        split_pages("x" * 1000 * MAX_PAGES, ROOM)


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_an_empty_prompt_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        split_pages(text, ROOM)
