"""``ownerctl request``: an app in a command, verified answer included."""

from __future__ import annotations

import json
import signal
import time

import pytest
from tests.rigs.cli import Desk

SIGNED = "eyJhbGciOiJFUzI1NiJ9.e30.AA"


def test_claims_come_back_verified(cli_desk: Desk) -> None:
    ran = cli_desk.run("request", "--claim", "given_name", "--claim", "email", "--purpose", "to try it")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[2:] == ["email       ada@example.org", "given_name  Ada"]
    assert ran.err == "recorded as entry 4\n"
    assert cli_desk.called("asked") == [
        ["asked", "redirect_uri:https://ownerctl.invalid/response", "to try it"]
    ]


def test_json_has_claims_holder_and_presentation(cli_desk: Desk) -> None:
    ran = cli_desk.run("--json", "request", "--claim", "email")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["claims"] == {"email": "ada@example.org"}
    assert ran.json["holder"].startswith("did:jwk:")
    assert ran.json["presentation"].count("~") == 2


def test_a_request_of_a_provider_yields_the_jwe(cli_desk: Desk) -> None:
    cli_desk.plan(present={"response": "a.jwe.for.the.provider"})
    ran = cli_desk.run("request", "--file", "-", stdin=SIGNED + "\n")
    assert (ran.code, ran.out, ran.err) == (0, "a.jwe.for.the.provider\n", "")
    path = cli_desk.home / "request.jwt"
    path.write_text(SIGNED)
    assert cli_desk.run("request", "--file", str(path), "--json").json == {
        "entry": 4,
        "response": "a.jwe.for.the.provider",
    }


def test_an_unsigned_request_from_a_file_gets_a_key_of_ours(cli_desk: Desk) -> None:
    from ownerctl.request import build_request

    request = {**build_request(["email"], "https://shop.example/cb"), "state": "s-1"}
    ran = cli_desk.run("request", "--file", "-", "--json", stdin=json.dumps(request))
    assert ran.code == 0, ran.err
    assert ran.json["claims"] == {"email": "ada@example.org"}


@pytest.mark.parametrize(
    ("error", "code"), [("Dismissed", 3), ("TokenMissing", 4), ("Busy", 1), ("InvalidArgument", 2)]
)
def test_the_error_table_gives_exit_code_and_hint(cli_desk: Desk, error: str, code: int) -> None:
    from ownerd.model.errors import error_table

    cli_desk.plan(present={"error": error, "message": "it went wrong"})
    ran = cli_desk.run("request", "--claim", "email")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err == f"ownerctl: error: it went wrong\nownerctl: hint: {error_table()[error].hint}\n"


def test_an_answer_for_another_key_is_not_printed(cli_desk: Desk) -> None:
    cli_desk.plan(present={"response": "eyJhbGciOiJFQ0RILUVTIn0..AA.AA.AA"})
    ran = cli_desk.run("request", "--claim", "email")
    assert (ran.code, ran.out) == (1, "")
    assert "the response does not open with the key of the request" in ran.err


@pytest.mark.parametrize("arguments", [(), ("--claim", "email", "--file", "-"), ("--claim", "shoe_size")])
def test_usage_errors_reach_nobody(cli_desk: Desk, arguments: tuple[str, ...]) -> None:
    ran = cli_desk.run("request", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert cli_desk.called("present") == []


def test_ctrl_c_cancels_at_the_daemon(cli_desk: Desk) -> None:
    cli_desk.plan(present={"do": "wait", "progress": [["waiting-for-touch", {"token": "key"}]]})
    process = cli_desk.spawn("request", "--claim", "email")
    cli_desk.wait_called("present")
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"")
    assert err.startswith(b"ownerctl: error: interrupted\n")
    assert time.monotonic() - started < 2
    assert cli_desk.wait_called("cancelled") == ["cancelled", "present"]


def test_what_was_released_before_the_cancel_is_shown(cli_desk: Desk) -> None:
    """It is recorded as disclosed; to hide it would be a lie."""
    cli_desk.plan(present={"do": "hold"})
    process = cli_desk.spawn("request", "--claim", "email", "--json")
    cli_desk.wait_called("present")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out)["claims"] == {"email": "ada@example.org"}


def test_a_daemon_that_dies_ends_the_wait(cli_desk: Desk) -> None:
    cli_desk.plan(present={"do": "die"})
    ran = cli_desk.run("request", "--claim", "email")
    assert (ran.code, ran.out) == (1, "")
    assert [line.partition(": ")[2] for line in ran.err.splitlines()] == [
        "error: the daemon ended before it answered",
        "hint: ownerctl status shows how things stand; ownerctl ledger log shows what was recorded",
    ]


def test_verbose_says_what_is_waited_for_in_plain_lines(cli_desk: Desk) -> None:
    progress = [
        ["waiting-for-owner", {"id": "1"}],
        ["waiting-for-touch", {"id": "1", "token": "a\x1b]0;key", "timeout_seconds": 28}],
    ]
    cli_desk.plan(present={"progress": progress})
    ran = cli_desk.run("request", "--claim", "email", "--verbose", "--json")
    assert ran.json["claims"] == {"email": "ada@example.org"}
    assert ran.err.splitlines() == [
        "waiting for your answer at the prompt",
        "waiting for a touch on a\\u001b]0;key, 28 s left",
    ]
    assert cli_desk.run("request", "--claim", "email", "--json").err == ""
