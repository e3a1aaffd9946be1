"""Attacks on the prompt: a broken or hostile pinentry, a hostile text, a bus that listens.

What may never happen: a yes that nobody gave, a PIN in an error or a log, text that shows something else
than it is, typing that reaches another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import subprocess

import pytest
from tests.rigs.notifications import NotificationBus
from tests.rigs.prompts import MakePinentry, PinentryProgram

from ownerd.model.errors import (
    ConfigError,
    Dismissed,
    InternalError,
    InvalidArgument,
    NotFound,
    OwnerdError,
    TimedOut,
)
from ownerd.prompt.pinentry import Pinentry
from ownerd.prompt.programs import child_environment

PIN = "31415926"


def pinentry(program: PinentryProgram) -> Pinentry:
    environment = {"PATH": "/usr/bin:/bin", "DISPLAY": ":99"}
    return Pinentry(
        program=str(program.path), environment=environment, grace_seconds=0.3, handshake_seconds=5
    )


def confirm(program: PinentryProgram, description: str = "x", approve_label: str = "Yes") -> bool:
    return asyncio.run(
        pinentry(program).confirm(
            None, description=description, approve_label=approve_label, refuse_label="No", timeout_seconds=0.5
        )
    )


@pytest.mark.parametrize(
    "answer",
    [
        ["die"],
        ["hang"],
        ["raw:"],
        ["raw:O", "die"],
        ["raw:OK", "die"],
        ["raw:OK", "hang"],
        ["raw:OK\r\n"],
        ["raw:OK\0\n"],
        ["ok"],
        ["OK yes"],
        ["OKAY"],
        ["YES"],
        [" OK"],
        ["D 1", "OK"],
        ["D ", "OK"],
        ["INQUIRE X", "OK"],
        ["raw:" + "A" * 5000, "OK"],
        ["raw:S " + "A" * 999 + "\n", "OK"],
        ["S x"] * 70 + ["OK"],
        ["ERR"],
        ["ERR 0", "OK"],
        ["ERR 99999999999999999999", "OK"],
        ["ERR 83886179 cancelled", "OK"],
        ["stderr:OK\n", "die"],
        ["\xff\xff", "OK"],
        ["", "OK"],
    ],
)
def test_only_a_literal_ok_is_a_yes(pinentry_program: MakePinentry, answer: list[object]) -> None:
    program = pinentry_program({"CONFIRM": answer})
    approved = False
    with contextlib.suppress(InternalError, Dismissed, TimedOut):
        approved = confirm(program)
    assert approved is False
    assert program.has_ended()


@pytest.mark.parametrize(
    "command", ["greeting", "GETINFO flavor", "OPTION", "SETTITLE", "SETDESC", "SETCANCEL", "SETOK"]
)
@pytest.mark.parametrize("surplus", [1, 2, 9])
def test_an_ok_that_came_before_the_question_is_no_answer(
    pinentry_program: MakePinentry, command: str, surplus: int
) -> None:
    """One OK too many anywhere must not stand as the answer to CONFIRM."""
    usual = {"greeting": ["OK hello"], "GETINFO flavor": ["D qt", "OK"]}.get(command, ["OK"])
    program = pinentry_program({command: [*usual, *["OK"] * surplus], "CONFIRM": ["hang"]})
    with pytest.raises(OwnerdError):
        confirm(program)


def test_every_page_must_be_accepted(pinentry_program: MakePinentry) -> None:
    text = "\n".join(f"line {number}" for number in range(400))
    cancelled = ["ERR 83886179 Operation cancelled <Pinentry>"]
    assert confirm(pinentry_program(), text) is True
    for page in range(4):
        program = pinentry_program({"CONFIRM": [*[["OK"]] * page, cancelled, ["OK"]]})
        assert confirm(program, text) is False
        assert program.commands().count("CONFIRM") == page + 1


def test_no_name_turns_the_text_into_html(pinentry_program: MakePinentry) -> None:
    """Qt shows a text as HTML when its first line looks like it: line ends go, and white text hides."""
    program = pinentry_program()
    assert confirm(program, "<font color=white> asks for your data.\nThey would get: <b>all</b>") is True
    (shown,) = [line for line in program.commands() if line.startswith("SETDESC")]
    assert shown.startswith("SETDESC [page 1 of 1]%0A<font")


@pytest.mark.parametrize("command", ["SETDESC", "SETOK", "SETCANCEL", "SETTIMEOUT", "SETTITLE", "OPTION"])
def test_a_question_that_was_not_taken_is_not_asked(pinentry_program: MakePinentry, command: str) -> None:
    program = pinentry_program({command: ["ERR 83886254 no"]})
    with pytest.raises(OwnerdError):
        confirm(program)
    assert "CONFIRM" not in program.commands()


@pytest.mark.parametrize(
    "text",
    [
        "pay 1\u202e000",
        "a\u200bb",
        "\x1b[2J",
        "a\rb",
        "a\tb",
        "\u2066x",
        "a\ufeff",
        "\ud800",
        "a\u00a0b",
        "\x9bm",
    ],
)
def test_text_that_hides_something_is_not_shown(pinentry_program: MakePinentry, text: str) -> None:
    program = pinentry_program()
    with pytest.raises(InvalidArgument):
        confirm(program, text)
    with pytest.raises(InvalidArgument):
        confirm(program, approve_label=text)
    with pytest.raises(InvalidArgument):
        asyncio.run(pinentry(program).pin(None, description=text, timeout_seconds=1))
    assert program.commands() == []


@pytest.mark.parametrize(
    "answer",
    [
        [f"D {PIN}", "die"],
        [f"D {PIN}", "hang"],
        [f"D {PIN}%", "OK"],
        [f"raw:D {PIN}\r\n", "OK"],
        [f"raw:D {PIN * 9}\n", "OK"],
        [f"raw:{PIN}\n", "OK"],
        [f"D {PIN}", f"ERR 1 {PIN}"],
        [f"D {PIN}", f"S {PIN}", "ERR 83886179 x"],
        [f"D {PIN}\xff", "OK"],
        [f"stderr:{PIN}", f"OK {PIN}"],
        [f"D {PIN}", f"{PIN}"],
    ],
)
def test_no_pin_in_errors_logs_or_output(
    pinentry_program: MakePinentry,
    answer: list[object],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    program = pinentry_program({"GETPIN": answer})
    with pytest.raises(OwnerdError) as caught:
        asyncio.run(pinentry(program).pin(None, description="x", timeout_seconds=0.3))
    error: BaseException | None = caught.value
    while error is not None:
        assert PIN not in f"{error!r} {vars(error)}"
        error = error.__cause__
    captured = capfd.readouterr()
    assert PIN not in caplog.text + captured.out + captured.err


def test_a_good_pin_is_in_no_log_either(
    pinentry_program: MakePinentry, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    program = pinentry_program({"GETPIN": [f"stderr:{PIN}", f"D {PIN}", "OK"]})
    pin = asyncio.run(pinentry(program).pin(None, description="x", timeout_seconds=5))
    assert pin.reveal() == PIN.encode()
    captured = capfd.readouterr()
    assert PIN not in caplog.text + captured.out + captured.err + repr(pin)


@pytest.mark.parametrize(
    "flavor", ["gnome3", "kwallet", "emacs", "gnome3:curses", "qt:curses", "tty", "x", ""]
)
def test_a_pinentry_that_is_not_known_to_keep_typing_to_itself_is_not_asked(
    pinentry_program: MakePinentry, flavor: str
) -> None:
    program = pinentry_program(flavor=flavor)
    with pytest.raises(ConfigError):
        asyncio.run(pinentry(program).pin(None, description="x", timeout_seconds=1))
    assert "GETPIN" not in program.commands()


def test_a_refused_name_is_not_even_started(pinentry_program: MakePinentry) -> None:
    program = pinentry_program(name="pinentry-gnome3")
    with pytest.raises(ConfigError):
        pinentry(program)
    assert not (program.directory / "pid").exists()


def test_a_pinentry_that_is_swapped_after_the_start_is_not_run(pinentry_program: MakePinentry) -> None:
    program = pinentry_program()
    prompts = pinentry(program)
    program.path.rename(program.path.with_name("pinentry-gnome3"))
    program.path.symlink_to("pinentry-gnome3")
    assert not prompts.can_prompt(None)
    with pytest.raises(NotFound):
        asyncio.run(prompts.pin(None, description="x", timeout_seconds=1))
    assert not (program.directory / "pid").exists()


def test_no_display_and_no_terminal_starts_nothing(pinentry_program: MakePinentry) -> None:
    program = pinentry_program()
    prompts = Pinentry(program=str(program.path), environment={"PATH": "/usr/bin"})
    assert not prompts.can_prompt(None)
    with pytest.raises(NotFound, match="no terminal and no display"):
        asyncio.run(prompts.pin(None, description="x", timeout_seconds=1))
    assert not (program.directory / "pid").exists()


def test_no_password_cache_is_ever_offered(pinentry_program: MakePinentry) -> None:
    program = pinentry_program({"GETPIN": ["D 123456", "OK"]})
    asyncio.run(pinentry(program).pin(None, description="x", timeout_seconds=5))
    sent = " ".join(program.commands())
    assert "allow-external-password-cache" not in sent
    assert "SETKEYINFO" not in sent


def test_the_child_cannot_reach_the_session_bus(
    notification_bus: NotificationBus, pinentry_program: MakePinentry
) -> None:
    """Leaving out the address would not do: libdbus falls back to $XDG_RUNTIME_DIR/bus."""
    runtime = notification_bus.address.removeprefix("unix:path=").removesuffix("/bus")
    session = {"PATH": "/usr/bin:/bin", "DISPLAY": ":99", "XDG_RUNTIME_DIR": runtime, "LANG": "C.UTF-8"}
    dbus_send = shutil.which("dbus-send")
    assert dbus_send is not None
    ask = [
        dbus_send,
        "--session",
        "--print-reply",
        "--dest=org.freedesktop.DBus",
        "/",
        "org.freedesktop.DBus.GetId",
    ]
    reachable = subprocess.run(ask, check=False, env=session, capture_output=True, timeout=10)
    assert reachable.returncode == 0, "the control: without the unusable address the bus is reached"
    child = child_environment(
        session | {"DBUS_SESSION_BUS_ADDRESS": notification_bus.address}, graphical=True
    )
    refused = subprocess.run(ask, check=False, env=child, capture_output=True, timeout=10)
    assert refused.returncode != 0

    program = pinentry_program()
    prompts = Pinentry(program=str(program.path), environment=session | {"SECRET": "x"})
    asyncio.run(
        prompts.confirm(None, description="x", approve_label="Yes", refuse_label="No", timeout_seconds=5)
    )
    seen = program.environment()
    assert seen["DBUS_SESSION_BUS_ADDRESS"] == "disabled:"
    assert "SECRET" not in json.dumps(seen)
