"""Pinentry against a fake program that speaks real Assuan."""

from __future__ import annotations

import asyncio
import os

import pytest
from tests.rigs.prompts import MakePinentry, PinentryProgram

from ownerd.model.errors import Dismissed, InternalError, TimedOut
from ownerd.prompt.pinentry import Pinentry

CANCELLED = "ERR 83886179 Operation cancelled <Pinentry>"
NOT_CONFIRMED = "ERR 83886194 Not confirmed <Pinentry>"
TIMED_OUT = "ERR 83886142 Timeout <Pinentry>"


def pinentry(program: PinentryProgram, **options: float) -> Pinentry:
    environment = {"PATH": "/usr/bin:/bin", "DISPLAY": ":99", "HOME": "/nowhere"}
    return Pinentry(program=str(program.path), environment=environment, **options)


def confirm(program: PinentryProgram, description: str = "Give it?", **options: float) -> bool:
    return asyncio.run(
        pinentry(program, **options).confirm(
            None,
            description=description,
            approve_label="Approve",
            refuse_label="Refuse",
            timeout_seconds=0.3 if options else 20,
        )
    )


def pin(program: PinentryProgram) -> bytes:
    return asyncio.run(pinentry(program).pin(None, description="PIN of it", timeout_seconds=20)).reveal()


def test_ok_to_confirm_is_yes(pinentry_program: MakePinentry) -> None:
    program = pinentry_program()
    assert confirm(program, "100 % of\nit?") is True
    sent = program.commands()
    assert "SETDESC 100 %25 of%0Ait?" in sent
    assert sent.index("SETOK Approve") < sent.index("CONFIRM")
    assert "SETCANCEL Refuse" in sent
    assert "SETTIMEOUT 20" in sent
    assert program.has_ended()


@pytest.mark.parametrize("answer", [CANCELLED, NOT_CONFIRMED])
def test_refusing_is_no(pinentry_program: MakePinentry, answer: str) -> None:
    assert confirm(pinentry_program({"CONFIRM": ["S BUTTON_INFO close", answer]})) is False


def test_pin_is_unescaped(pinentry_program: MakePinentry) -> None:
    assert pin(pinentry_program({"GETPIN": ["D 12%2534", "OK"]})) == b"12%34"


def test_closing_the_pin_prompt_is_dismissed(pinentry_program: MakePinentry) -> None:
    with pytest.raises(Dismissed):
        pin(pinentry_program({"GETPIN": [CANCELLED]}))


@pytest.mark.parametrize("command", ["CONFIRM", "GETPIN"])
def test_time_out_has_its_name(pinentry_program: MakePinentry, command: str) -> None:
    program = pinentry_program({command: [TIMED_OUT]})
    with pytest.raises(TimedOut):
        confirm(program) if command == "CONFIRM" else pin(program)


def test_a_hanging_prompt_times_out_and_is_ended(pinentry_program: MakePinentry) -> None:
    program = pinentry_program({"CONFIRM": ["hang"]})
    with pytest.raises(TimedOut):
        confirm(program, grace_seconds=0.1)
    assert program.has_ended()


def test_a_silent_program_is_given_up(pinentry_program: MakePinentry) -> None:
    program = pinentry_program({"greeting": ["hang"]})
    with pytest.raises(InternalError, match="does not answer"):
        confirm(program, handshake_seconds=0.3)
    assert program.has_ended()


def test_cancelling_closes_the_prompt(pinentry_program: MakePinentry) -> None:
    program = pinentry_program({"CONFIRM": ["ignore-term", "hang"]})

    async def run() -> None:
        task = asyncio.ensure_future(
            pinentry(program).confirm(
                None, description="x", approve_label="Yes", refuse_label="No", timeout_seconds=60
            )
        )
        while "CONFIRM" not in program.commands():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0.1)
        task.cancel()  # a second cancellation must not leave the program behind
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert program.has_ended()
    assert os.getpid() != program.pid()
