"""What may reach a terminal, and how."""

from __future__ import annotations

import json
import os
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerctl import render
from ownerctl.progress import ProgressLine, describe

HOSTILE = "a\x1b[2Jb\u202ec\u200bd\u009be\u2028f\x7fg\U000e0041h\ud800i"


def test_hostile_characters_become_visible() -> None:
    assert render.clean(HOSTILE) == (
        "a\\u001b[2Jb\\u202ec\\u200bd\\u009be\\u2028f\\u007fg\\U000e0041h\\ud800i"
    )


def test_scripts_that_need_joiners_keep_them() -> None:
    text = "می‌خواهم 👩‍🔬 ß 漢字"
    assert render.clean(text) == text


def test_a_line_end_cannot_fake_a_row() -> None:
    assert render.clean("a\r\nb\nc") == "a↵b↵c"
    assert render.clean("a\nb\rc", lines=True) == "a\nb\\u000dc"


@given(st.text())
def test_nothing_unsafe_is_left(text: str) -> None:
    for shown in (render.clean(text), render.format_table([[text]])):
        left = {unicodedata.category(character) for character in shown.replace("\n", "")}
        assert not left & {"Cc", "Cs", "Zl", "Zp"}
        assert "\u202e" not in shown


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_json_is_exact_and_safe_at_once(value: object) -> None:
    shown = render.format_json(value)
    assert json.loads(shown) == value
    assert all(character == "\n" or not render.is_unsafe(character) for character in shown)


def test_json_keeps_letters_readable() -> None:
    assert render.format_json({"name": "Jürgen 漢字"}) == '{\n  "name": "Jürgen 漢字"\n}'


def test_table_cells_are_text() -> None:
    shown = render.format_table([["address.postal_code", "01234"], ["phone_number", "+4930000"]])
    assert shown == "address.postal_code  01234\nphone_number         +4930000"


def test_errors_are_lowercase_without_full_stop(capsys: pytest.CaptureFixture[str]) -> None:
    render.error("No such option: --frob.", "Try\n  'ownerctl --help'.")
    render.error("PIN blocked")
    assert capsys.readouterr().err == (
        "ownerctl: error: no such option: --frob\nownerctl: hint: try 'ownerctl --help'\n"
        "ownerctl: error: PIN blocked\n"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("29 s left", "29 s left"),
        ("waiting for 票, 29 s left", "…票, 29 s left"),
        ("waiting, 9 s left", "…ing, 9 s left"),
    ],
)
def test_the_progress_line_stays_one_line(
    text: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((15, 9)))
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2, raising=False)
    render.draw(text)
    assert capsys.readouterr().err == f"\r\x1b[K{shown}"


def test_local_time_leaves_other_text_harmless() -> None:
    assert render.local_time("soon\x1b[2J") == "soon\\u001b[2J"


def test_details_show_nesting_on_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    render.emit_details({"a": True, "b": None, "c": {"d": 1}, "e": ["f", "g"], "h": {}})
    assert capsys.readouterr().out.splitlines() == [
        "a     yes",
        "b     -",
        "c: d  1",
        "e     f",
        "      g",
        "h     -",
    ]


# -- progress --


@pytest.mark.parametrize(
    ("state", "details", "elapsed", "sentence"),
    [
        (
            "waiting-for-touch",
            {"token": "key", "timeout_seconds": 30},
            1.6,
            "waiting for a touch on key, 28 s left",
        ),
        ("waiting-for-touch", {"timeout_seconds": 1}, 9.0, "waiting for a touch on the token, 0 s left"),
        (
            "waiting-for-touch",
            {"token": "key", "purpose": "set up the vault (2 of 2)"},
            0.0,
            "waiting for a touch on key to set up the vault (2 of 2)",
        ),
        (
            "waiting-for-pin",
            {"token": "card", "purpose": "remove a token (1 of 2)"},
            0.0,
            "waiting for the PIN of card to remove a token (1 of 2)",
        ),
        ("waiting-for-pin", {}, 0.0, "waiting for the PIN of the token"),
        ("waiting-for-owner", {}, 3.0, "waiting for your answer at the prompt"),
        (
            "waiting-for-terminal",
            {"id": "3"},
            0.0,
            "waiting for a terminal to ask on, run ownerctl approve 3 in one",
        ),
        ("recording", {}, 0.5, "recording"),
        ("recording", {}, 4.7, "recording, 4 s so far"),
        ("waiting-for-godot", {}, 0.0, "waiting (waiting-for-godot)"),
    ],
)
def test_progress_in_words(state: str, details: dict[str, str | int], elapsed: float, sentence: str) -> None:
    assert describe(state, details, elapsed) == sentence


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def live_line(monkeypatch: pytest.MonkeyPatch) -> tuple[ProgressLine, _Clock]:
    """A line that believes it is on a terminal, lent to the daemon's prompts."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("ownerctl.progress.draws_on", lambda tty: tty is not None)
    clock = _Clock()
    return ProgressLine(verbose=False, lent_tty="/dev/pts/9", now=clock), clock


def test_a_short_wait_is_not_worth_a_word(
    live_line: tuple[ProgressLine, _Clock], capsys: pytest.CaptureFixture[str]
) -> None:
    line, clock = live_line
    line.show("waiting-for-touch", {"token": "key", "timeout_seconds": 30})
    clock.now += 0.9
    line.tick()
    assert capsys.readouterr().err == ""
    clock.now += 0.3
    line.tick()
    assert capsys.readouterr().err == "\r\x1b[Kwaiting for a touch on key, 29 s left"


@pytest.mark.parametrize("state", ["waiting-for-owner", "waiting-for-pin"])
def test_the_prompt_has_the_lent_terminal_for_itself(
    live_line: tuple[ProgressLine, _Clock], capsys: pytest.CaptureFixture[str], state: str
) -> None:
    line, clock = live_line
    line.show("waiting-for-touch", {})
    clock.now += 2
    line.tick()
    capsys.readouterr()
    line.show(state, {})
    assert capsys.readouterr().err == "\r\x1b[K"  # gone before the prompt comes
    for _ in range(5):
        clock.now += 2
        line.tick()
    assert capsys.readouterr().err == ""
