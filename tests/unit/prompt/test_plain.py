"""Plain text: what is seen is all there is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.model.plain import is_plain, shorten, show_plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Jörg Müller, Straße 1", "Jörg Müller, Straße 1"),
        ("שלום 中文 ไทย नमस्ते", "שלום 中文 ไทย नमस्ते"),
        ("\x1b[2J", "<U+001B>[2J"),
        ("a\rb\tc\x00\x7f\x9b", "a<U+000D>b<U+0009>c<U+0000><U+007F><U+009B>"),
        ("a\u202eb\u2066c\u200fd\u061c", "a<U+202E>b<U+2066>c<U+200F>d<U+061C>"),
        ("a\u200bb\u200dc\ufeffd\u00ad\u2060", "a<U+200B>b<U+200D>c<U+FEFF>d<U+00AD><U+2060>"),
        ("a\u00a0b\u3000c\u2028d\u2029", "a<U+00A0>b<U+3000>c<U+2028>d<U+2029>"),
        (
            "\u3164\u115f\u2800\ufe0f\U000e0061\U000e0101",
            "<U+3164><U+115F><U+2800><U+FE0F><U+E0061><U+E0101>",
        ),
        ("\ue000\ud800\u0378", "<U+E000><U+D800><U+0378>"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + "<U+0301>" * 2),
    ],
)
def test_what_would_not_be_seen_is_written_out(text: str, shown: str) -> None:
    assert show_plain(text) == shown
    assert is_plain(text) == (text == shown)


def test_newlines_stay_only_where_they_are_meant() -> None:
    assert show_plain("a\nb") == "a<U+000A>b"
    assert show_plain("a\nb", newlines=True) == "a\nb"
    assert is_plain("a\nb", newlines=True)
    assert not is_plain("a\nb")


@given(st.text(st.characters(codec=None), max_size=80), st.booleans())
def test_showing_twice_changes_nothing_more(text: str, newlines: bool) -> None:
    shown = show_plain(text, newlines=newlines)
    assert is_plain(shown, newlines=newlines)
    hidden = {c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert hidden <= ({"\n"} if newlines else set())
    shown.encode("utf-8")


def test_a_cut_says_how_much_is_missing() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdef", 4) == "abcd… (2 more characters)"
