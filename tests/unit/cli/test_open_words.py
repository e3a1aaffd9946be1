"""What a provider's server says back: pages to go on at, and words about its errors."""

from __future__ import annotations

import json

import pytest

from ownerctl.open_answer import redirect_of, tell_words
from ownerctl.web import Answer, parse_place

PLACE = parse_place("https://shop.example/answer", "uri")


def _answer(**members: object) -> Answer:
    return Answer(200, "application/json", json.dumps(members).encode())


@pytest.mark.parametrize(
    "uri",
    [
        "https://shop.example/thanks",
        "https://shop.example:8443/thanks?a=1&b=$(id)",
        "https://client.example.org/cb#response_code=091535f699ea575c7937fa5ae76b0bf6",
        "https://shop.example#",
    ],
)
def test_an_https_page_is_taken_as_it_is(uri: str) -> None:
    assert redirect_of(_answer(redirect_uri=uri), PLACE) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JavaScript:https://shop.example/",
        "data:text/html,x",
        "file:///etc/passwd",
        "http://shop.example/thanks",
        "HTTPS:shop.example",
        "openid4vp://?client_id=x",
        "--help",
        "",
        " https://shop.example/",
        "https://shop.example/\x1b[2J",
        "https://shop.example/#\x1b[2J",
        "https://shop.example/a b",
        "https://user@shop.example/",
        "https://shop.example/#a#b",
        "https://shop.example/" + "a" * 2100,
        "https://shop.example/#" + "a" * 2100,
        "https://127.0.0.1/",
        "https://sh\u00f6p.example/",
        "https://shop.example/#\u202e",
        7,
        None,
        ["https://shop.example/"],
    ],
)
def test_a_page_of_another_kind_is_said_and_dropped(uri: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert redirect_of(_answer(redirect_uri=uri), PLACE) is None
    assert "no https address; it is not opened" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/html", b"{}"),
        ("application/json", b"[]"),
        ("application/json", b"{"),
        ("application/json", b'{"redirect_uri":"https://a.example/","redirect_uri":"https://b.example/"}'),
    ],
)
def test_another_form_of_answer_names_no_page(media_type: str, body: bytes) -> None:
    assert redirect_of(Answer(200, media_type, body), PLACE) is None


def test_an_answer_without_a_page_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert redirect_of(_answer(status="ok"), PLACE) is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("media_type", "body", "shown"),
    [
        ("text/plain", b"too\nlate\x1b[2J", "shop.example says: too late<U+001B>[2J\n"),
        ("text/plain", b"\xff\xfe", "shop.example says: \ufffd\ufffd\n"),
        ("text/plain", b"   \n", ""),
        ("image/png", b"PNG", ""),
        ("application/json", b'{"error":"no"}', "shop.example says: no\n"),
        ("application/json", b'{"error":7,"error_description":"why"}', "shop.example says: why\n"),
        ("application/json", b"not json", ""),
        ("text/plain", b"a" * 300, f"shop.example says: {'a' * 200}… (100 more characters)\n"),
    ],
)
def test_words_about_an_error_are_one_short_plain_line(
    media_type: str, body: bytes, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_words(Answer(400, media_type, body), PLACE)
    assert capsys.readouterr().err == shown
