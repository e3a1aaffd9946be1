"""What every `PromptPort` promises, held against the fake, a fake program and the real pinentry-tty."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import pytest
from tests.rigs.notifications import FakeSender
from tests.rigs.prompts import FakePrompt, MakePinentry, Screen

from ownerd.core.ports import PromptPort
from ownerd.model.caller import Terminal
from ownerd.model.errors import Dismissed, TimedOut
from ownerd.prompt.notify import DesktopNotifications
from ownerd.prompt.pinentry import Pinentry
from ownerd.prompt.port import Prompts

Answer = Literal["yes", "no", "nothing"]


@dataclass
class Case:
    """One implementation, with an owner who gives one answer; ``is_open`` says that a prompt is up."""

    port: PromptPort
    terminal: Terminal | None
    answer: Callable[[], Awaitable[None]]
    is_open: Callable[[], bool]


MakeCase = Callable[[Literal["confirm", "pin"], Answer], Case]


async def _silent() -> None:
    """Nobody answers from outside: the script does."""


def _fake(question: str, answer: Answer) -> Case:
    given: dict[Answer, object] = {
        "yes": True if question == "confirm" else "123456",
        "no": False if question == "confirm" else Dismissed("closed"),
        "nothing": TimedOut("nobody answered the prompt"),
    }
    fake = FakePrompt(answers=[given[answer]])
    return Case(fake, None, _silent, lambda: fake.open > 0)


def _script(question: str, answer: Answer, make: MakePinentry) -> Case:
    command = "CONFIRM" if question == "confirm" else "GETPIN"
    given = {
        "yes": ["OK"] if question == "confirm" else ["D 123456", "OK"],
        "no": ["ERR 83886179 Operation cancelled <Pinentry>"],
        "nothing": ["ERR 83886142 Timeout <Pinentry>"],
    }
    program = make({command: given[answer]})
    pinentry = Pinentry(program=str(program.path), environment={"PATH": "/usr/bin", "DISPLAY": ":0"})
    return Case(
        Prompts(pinentry, DesktopNotifications(FakeSender())), None, _silent, lambda: not program.has_ended()
    )


def _real(question: str, answer: Answer, screen: Screen) -> Case:
    async def act() -> None:
        await screen.expect("? " if question == "confirm" else "PIN:")
        await asyncio.sleep(0.1)
        if answer == "yes":
            screen.type("a" if question == "confirm" else "123456\n")
        elif answer == "no":
            screen.type("r" if question == "confirm" else "\x04")

    prompts = Prompts(Pinentry(program=shutil.which("pinentry-tty"), environment={"PATH": "/usr/bin"}))
    return Case(prompts, screen.terminal, act, lambda: "P" in screen.read())


@pytest.fixture(params=["fake", "script", "pinentry-tty"])
def make_case(request: pytest.FixtureRequest, pinentry_program: MakePinentry, screen: Screen) -> MakeCase:
    if request.param == "fake":
        return _fake
    if request.param == "script":
        return lambda question, answer: _script(question, answer, pinentry_program)
    if shutil.which("pinentry-tty") is None:
        if os.environ.get("CI"):
            pytest.fail("pinentry-tty is not installed")
        pytest.skip("pinentry-tty is not installed")
    return lambda question, answer: _real(question, answer, screen)


def confirm(case: Case) -> bool:
    async def run() -> bool:
        asking = asyncio.ensure_future(
            case.port.confirm(
                case.terminal,
                description="Purpose: test",
                approve_label="Approve",
                refuse_label="Refuse",
                timeout_seconds=0.9,
            )
        )
        await case.answer()
        return await asking

    return asyncio.run(run())


def pin(case: Case) -> bytes:
    async def run() -> bytes:
        asking = asyncio.ensure_future(
            case.port.pin(case.terminal, description="PIN of key", timeout_seconds=0.9)
        )
        await case.answer()
        return (await asking).reveal()

    return asyncio.run(run())


def test_approving_is_true(make_case: MakeCase) -> None:
    case = make_case("confirm", "yes")
    assert case.port.can_prompt(case.terminal) is True
    assert confirm(case) is True


def test_refusing_is_false(make_case: MakeCase) -> None:
    assert confirm(make_case("confirm", "no")) is False


def test_a_pin_is_what_was_typed(make_case: MakeCase) -> None:
    assert pin(make_case("pin", "yes")) == b"123456"


def test_closing_the_pin_prompt_is_dismissed(make_case: MakeCase) -> None:
    with pytest.raises(Dismissed):
        pin(make_case("pin", "no"))


@pytest.mark.parametrize("ask", [confirm, pin])
def test_no_answer_is_timed_out(make_case: MakeCase, ask: Callable[[Case], object]) -> None:
    with pytest.raises(TimedOut):
        ask(make_case("confirm" if ask is confirm else "pin", "nothing"))


def test_touch_notices_never_raise(make_case: MakeCase) -> None:
    case = make_case("confirm", "yes")

    async def run() -> None:
        await case.port.touch_wanted("Key", "unlock")
        await case.port.touch_done()
        await case.port.touch_done()

    asyncio.run(run())
