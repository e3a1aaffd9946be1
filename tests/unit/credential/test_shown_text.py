from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.credential.shown_text import is_shown_text, require_shown_text
from ownerd.model.errors import InvalidArgument


@pytest.mark.parametrize(
    "text",
    [
        "ship your order",
        "Müller & Söhne",
        "配送のため",
        "для доставки",
        "לצורך משלוח",
        "e\u0301te\u0301",
        "🙂",
    ],
)
def test_written_languages_pass(text):
    assert require_shown_text(text, "purpose", max_chars=300) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " x",
        "x ",
        "a  b",
        "a\nb",
        "a\tb",
        "a\x00b",
        "a\x1b[2Jb",
        "a\x7fb",
        "a\u202eb",
        "a\u2066b",
        "a\u200bb",
        "a\u200db",
        "a\ufeffb",
        "a\u00adb",
        "a\u00a0b",
        "a\u2003b",
        "a\u2028b",
        "a\u3164b",
        "a\u2800b",
        "a\ufe0fb",
        "a\ue000b",
        "a\U000e0041b",
        "a\u034fb",
        "a\ud800b",
        "a" + "\u0301" * 4,
        "\u0301a",
        "x" * 301,
        7,
        None,
    ],
)
def test_text_that_hides_or_moves_something_is_refused(text):
    with pytest.raises(InvalidArgument):
        require_shown_text(text, "purpose", max_chars=300)


@given(st.text(max_size=40))
def test_what_passes_has_no_control_or_format_character(text):
    if is_shown_text(text, max_chars=40):
        assert {unicodedata.category(c)[0] for c in text}.isdisjoint("C")
        assert len(text.splitlines()) == 1
