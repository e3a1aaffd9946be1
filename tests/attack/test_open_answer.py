"""What a provider's server can do with the answer that ``ownerctl open`` posts, and with what it says back."""

from __future__ import annotations

import pytest
from tests.rigs.verifier import HOST
from tests.rigs.verifier_hostile import (
    JWE,
    Got,
    OpenDesk,
    Serve,
    answer,
    json_body,
    link,
    provider,
    request_object,
)


def test_the_sealed_answer_and_nothing_else_is_posted(open_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(provider(b"{}"))
    ran = open_desk.run("--host", f"{HOST}:{server.port}", "--json", link(server))
    assert ran.code == 0, ran.err
    assert ran.json == {"host": f"{HOST}:{server.port}", "entry": 4, "redirect_uri": None, "opened": False}
    asked, posted = server.got
    assert asked.line == "GET /request HTTP/1.1"
    assert posted.line == "POST /answer HTTP/1.1"
    assert posted.form == {"response": JWE}
    assert JWE not in ran.out + ran.err


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "file:///etc/passwd", "https://shop.example/\x1b[2J"])
def test_a_redirect_uri_of_another_kind_is_never_opened(
    open_desk: OpenDesk, hostile: Serve, uri: object
) -> None:
    server = hostile(provider(json_body(redirect_uri=uri)))
    ran = open_desk.run("--yes", "--browser", "--json", link(server))
    assert ran.code == 0, ran.err
    assert ran.json["redirect_uri"] is None
    assert "names a page to go on at that is no https address; it is not opened" in ran.err
    assert open_desk.opened == []
    assert "\x1b" not in ran.err


def test_an_https_page_is_opened_when_agreed_and_only_shown_otherwise(
    open_desk: OpenDesk, hostile: Serve
) -> None:
    page = f"https://{HOST}/thanks?a=1&b=$(id)#response_code=091535f699"
    server = hostile(provider(json_body(redirect_uri=page)))
    for arguments in (("--yes",), ("--yes", "--no-browser")):
        ran = open_desk.run(*arguments, link(server))
        assert page in ran.err
        assert open_desk.opened == []
    ran = open_desk.run("--yes", "--browser", "--json", link(server))
    assert ran.json["opened"] is True
    assert open_desk.wait_opened() == [page]


def test_a_page_on_another_host_is_pointed_out(open_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(provider(json_body(redirect_uri="https://elsewhere.example/")))
    assert f"beware: that is another host than {HOST}" in open_desk.run("--yes", link(server)).err


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
def test_the_answer_is_not_sent_on_by_a_redirect(open_desk: OpenDesk, hostile: Serve, status: str) -> None:
    thief = hostile(lambda _got: answer(b"{}", "application/json"))

    def respond(got: Got) -> list[bytes]:
        if got.line.startswith("POST"):
            return answer(b"", "text/plain", status, f"Location: {thief.base}/answer")
        return answer(request_object(server).encode())

    server = hostile(respond)
    ran = open_desk.run("--yes", link(server))
    assert ran.code == 1
    assert "which is not followed" in ran.err
    assert "entry 4 records the disclosure; whether it arrived is not known" in ran.err
    assert thief.connections == 0


def test_an_error_answer_is_shown_harmlessly(open_desk: OpenDesk, hostile: Serve) -> None:
    body = json_body(error="invalid_request", error_description="\x1b[31mred\u202e\u2066 \u3164")
    server = hostile(provider(body, status="400 Bad Request"))
    ran = open_desk.run("--yes", link(server))
    assert ran.code == 1
    assert "says: invalid_request: <U+001B>[31mred<U+202E><U+2066> <U+3164>" in ran.err
    assert "answers with status 400" in ran.err


def test_another_form_of_answer_is_taken_as_delivered(open_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(provider(b"<html>thanks</html>", "text/html"))
    ran = open_desk.run("--yes", "--browser", link(server))
    assert ran.code == 0
    assert "in another form than the standard's" in ran.err
    assert open_desk.opened == []


@pytest.mark.parametrize(("error", "code"), [("Dismissed", 3), ("TokenMissing", 4)])
def test_a_refusal_is_silent_unless_the_owner_wants_it_told(
    open_desk: OpenDesk, hostile: Serve, error: str, code: int
) -> None:
    server = hostile(provider(b"{}"))
    open_desk.desk.plan(present={"error": error, "message": "the owner said why"})
    assert open_desk.run("--yes", link(server)).code == code
    assert len(server.got) == 1
    ran = open_desk.run("--yes", "--tell-refusal", link(server))
    assert ran.code == code
    assert server.got[-1].form == {"error": "access_denied", "state": "state-1"}
    assert "was told of the refusal, without a reason" in ran.err


@pytest.mark.parametrize("plan", [{"error": "Busy"}, {"do": "die"}])
def test_what_was_not_decided_is_not_told_as_a_refusal(
    open_desk: OpenDesk, hostile: Serve, plan: dict[str, str]
) -> None:
    server = hostile(provider(b"{}"))
    open_desk.desk.plan(present=plan)
    assert open_desk.run("--yes", "--tell-refusal", link(server)).code == 1
    assert len(server.got) == 1


def test_no_grant_serves_a_link_and_no_counter_offer_comes_back(open_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(provider(b"{}"))
    assert open_desk.run("--yes", link(server)).code == 0
    negotiate, negotiation, accept, ask = open_desk.desk.called("wishes")[0][1:]
    assert (negotiate, negotiation, accept, ask) == (False, None, False, True)
