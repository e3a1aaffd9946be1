"""A link that wants to abuse ``ownerctl open``, and servers that do not play by the rules: fetching the request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from demo import provider_kit as kit
from tests.rigs.verifier import HOST
from tests.rigs.verifier_hostile import JWS_TYPE, Got, OpenDesk, Serve, answer, link, request_object

from ownerctl.web import MAX_BODY_BYTES

NOT_ASKED = "ownerd is not running"  # what comes next once a request was taken: there is no daemon here


def test_a_redirect_of_the_request_uri_is_an_error_and_not_followed(
    lone_desk: OpenDesk, hostile: Serve
) -> None:
    aim = hostile(lambda _got: answer(b"x"))
    server = hostile(lambda _got: answer(b"", JWS_TYPE, "302 Found", f"Location: {aim.base}/request"))
    ran = lone_desk.run("--yes", link(server))
    assert ran.code == 1
    assert f"{HOST}:{server.port} answers with a redirect (302), which is not followed" in ran.err
    assert (len(server.got), aim.connections) == (1, 0)


def _endless(_got: Got) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/oauth-authz-req+jwt\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(64):
        yield b"4000\r\n" + b"A" * 0x4000 + b"\r\n"


@pytest.mark.parametrize("endless", [False, True])
def test_an_oversized_body_is_refused(lone_desk: OpenDesk, hostile: Serve, *, endless: bool) -> None:
    server = hostile(_endless if endless else lambda _got: answer(b"A" * (MAX_BODY_BYTES + 1)))
    ran = lone_desk.run("--yes", link(server))
    assert ran.code == 1
    assert f"answers with more than {MAX_BODY_BYTES} bytes" in ran.err


def test_a_body_of_the_largest_size_is_read_to_its_end(lone_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(lambda _got: answer(b"A" * MAX_BODY_BYTES))
    assert "the request object is not a compact JWS" in lone_desk.run("--yes", link(server)).err


@pytest.mark.parametrize("media_type", ["application/jwt", ""])
def test_another_content_type_is_refused(lone_desk: OpenDesk, hostile: Serve, media_type: str) -> None:
    server = hostile(lambda _got: answer(request_object(server).encode(), media_type))
    ran = lone_desk.run("--yes", link(server))
    assert ran.code == 1
    assert f"answers with another content type than {JWS_TYPE}" in ran.err


def test_the_wallet_nonce_must_come_back(lone_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(lambda _got: answer(request_object(server).encode()))
    ran = lone_desk.run("--yes", link(server, method="post"))
    assert ran.code == 1
    assert "lacks the wallet_nonce" in ran.err


@pytest.mark.parametrize("other", ["another", "\N{LATIN SMALL LETTER E WITH ACUTE}", 7])
def test_another_wallet_nonce_is_refused(lone_desk: OpenDesk, hostile: Serve, other: object) -> None:
    server = hostile(lambda _got: answer(request_object(server, wallet_nonce=other).encode()))
    ran = lone_desk.run("--yes", link(server, method="post"))
    assert ran.code == 1
    assert "wallet_nonce" in ran.err
    assert NOT_ASKED not in ran.err


def test_each_post_has_a_nonce_of_its_own_and_metadata_that_tell_nothing(
    lone_desk: OpenDesk, hostile: Serve
) -> None:
    server = hostile(
        lambda got: answer(request_object(server, wallet_nonce=got.form["wallet_nonce"]).encode())
    )
    for _ in range(2):
        assert NOT_ASKED in lone_desk.run("--yes", link(server, method="post")).err
    first, second = (got.form for got in server.got)
    assert first["wallet_nonce"] != second["wallet_nonce"]
    assert len(first["wallet_nonce"]) >= 22
    assert first["wallet_metadata"] == second["wallet_metadata"]
    told = {name for got in server.got for name in got.headers}
    assert told <= {
        "host",
        "accept",
        "user-agent",
        "connection",
        "content-type",
        "content-length",
        "accept-encoding",
    }
    assert server.got[0].headers["user-agent"] == "ownerctl"


def test_a_certificate_for_another_name_is_refused(lone_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(lambda _got: answer(b"x"), name="other.example")
    ran = lone_desk.run("--yes", link(server))
    assert ran.code == 1
    assert f"the certificate of {HOST}:{server.port} does not hold" in ran.err
    assert server.got == []


def test_a_certificate_of_an_unknown_ca_is_refused(lone_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(lambda _got: answer(b"x"), ca=kit.make_ca("Somebody"))
    ran = lone_desk.run("--yes", link(server))
    assert (ran.code, server.got) == (1, [])
    assert "does not hold" in ran.err


@pytest.mark.parametrize("text", ["", "web_allow_private = false\n"])
def test_a_name_that_leads_to_loopback_is_not_contacted(
    lone_desk: OpenDesk, hostile: Serve, text: str
) -> None:
    server = hostile(lambda _got: answer(b"x"))
    lone_desk.allow_private(text)
    ran = lone_desk.run("--yes", link(server))
    assert ran.code == 1
    assert f"{HOST} leads to this computer or a private network, which no link may reach" in ran.err
    assert server.connections == 0


def test_nothing_is_contacted_before_the_owner_agrees(lone_desk: OpenDesk, hostile: Serve) -> None:
    server = hostile(lambda _got: answer(b"x"))
    for arguments in ((), ("--host", "other.example"), ("--host", HOST)):  # the port is a part of it
        ran = lone_desk.run(*arguments, link(server))
        assert ran.code == 2
        assert f"nobody is there to agree to {HOST}:{server.port}" in ran.err
    assert server.connections == 0


def test_a_proxy_of_the_environment_is_named_and_not_used(lone_desk: OpenDesk, hostile: Serve) -> None:
    proxy = hostile(lambda _got: answer(b"x"))
    server = hostile(lambda _got: answer(request_object(server).encode()))
    ran = lone_desk.run("--yes", link(server), https_proxy=f"http://127.0.0.1:{proxy.port}")
    assert "https_proxy is set and not followed" in ran.err
    assert NOT_ASKED in ran.err
    assert (len(server.got), proxy.connections) == (1, 0)


def test_what_a_server_says_about_its_error_moves_no_cursor(lone_desk: OpenDesk, hostile: Serve) -> None:
    text = "\x1b[2J\x1b]0;owned\x07\u202egpj.exe\u200b\n\nownerctl: error: nothing went wrong\r" + "Z" * 5000
    server = hostile(lambda _got: answer(text.encode(), "text/plain", "500 Oops"))
    ran = lone_desk.run("--yes", link(server))
    assert ran.code == 1
    assert "answers with status 500" in ran.err
    assert not set(ran.err) & set("\x1b\x07\r\u202e\u200b")
    assert "<U+001B>[2J" in ran.err
    assert "Z" * 300 not in ran.err
    assert sum(line.startswith("ownerctl: error") for line in ran.err.splitlines()) == 1


def test_a_request_for_another_response_host_needs_its_own_consent(
    open_desk: OpenDesk, hostile: Serve
) -> None:
    thief = hostile(lambda _got: answer(b"{}", "application/json"))
    aim = f"https://thief.example:{thief.port}/answer"
    server = hostile(lambda _got: answer(request_object(server, response_uri=aim).encode()))
    ran = open_desk.run("--host", f"{HOST}:{server.port}", link(server), names=(HOST, "thief.example"))
    assert ran.code == 2
    assert f"nobody is there to agree to thief.example:{thief.port}" in ran.err
    assert (len(server.got), thief.connections) == (1, 0)
    assert open_desk.desk.called("present") == []


@pytest.mark.parametrize("aim", ["http://shop.example/a", "https://127.0.0.1/a", 7])
def test_a_response_uri_that_is_no_https_name_ends_before_the_daemon(
    open_desk: OpenDesk, hostile: Serve, aim: object
) -> None:
    server = hostile(lambda _got: answer(request_object(server, response_uri=aim).encode()))
    ran = open_desk.run("--yes", link(server))
    assert ran.code == 2
    assert "response_uri of the request" in ran.err
    assert open_desk.desk.called("present") == []
