"""The real pinentry-tty and pinentry-curses, on a terminal whose foreground is another session's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from tests.rigs.prompts import Screen

from ownerd.model.caller import Terminal
from ownerd.model.errors import Dismissed, NotFound, NotSupported, TimedOut
from ownerd.model.secret import Secret
from ownerd.prompt.pinentry import Pinentry
from ownerd.prompt.terminal import BorrowedTerminal, is_usable

TEXT = "shop.example asks for your data.\n\n  full name: Jörg Müßig 中\n  100 % sure_"


@pytest.fixture(params=["pinentry-tty", "pinentry-curses"])
def program(request: pytest.FixtureRequest) -> str:
    path = shutil.which(request.param)
    if path is None:
        # Only pinentry-tty is in the set-up list of ./dev.
        if os.environ.get("CI") and request.param == "pinentry-tty":
            pytest.fail(f"{request.param} is not installed")
        pytest.skip(f"{request.param} is not installed")
    return path


def pinentry(program: str) -> Pinentry:
    return Pinentry(program=program, environment={"PATH": "/usr/bin:/bin"})


def confirm(program: str, screen: Screen, text: str = TEXT, timeout_seconds: float = 20) -> Awaitable[bool]:
    return pinentry(program).confirm(
        screen.terminal,
        description=text,
        approve_label="Approve",
        refuse_label="Refuse",
        timeout_seconds=timeout_seconds,
    )


T = TypeVar("T")


def answered(asking: Callable[[], Awaitable[T]], screen: Screen, steps: list[tuple[str, str]]) -> T:
    """Ask, and for each (what is waited for, what is typed) act as the owner would."""

    async def run() -> T:
        task = asyncio.ensure_future(asking())
        for seen, typed in steps:
            await screen.expect(seen)
            screen.seen = b""
            # The prompt drops what was typed before it was ready to read.
            await asyncio.sleep(0.1)
            screen.type(typed)
        return await task

    return asyncio.run(run())


def keys(program: str, yes: bool) -> tuple[str, str]:
    """What to wait for and what to type."""
    if program.endswith("tty"):
        return "[ar]? ", "a" if yes else "r"
    return "<Refuse>", "\r" if yes else "\t\r"


def test_yes_is_yes(program: str, screen: Screen) -> None:
    before = screen.settings()
    assert answered(lambda: confirm(program, screen), screen, [keys(program, yes=True)]) is True
    assert screen.settings() == before


def test_no_is_no(program: str, screen: Screen) -> None:
    before = screen.settings()
    assert answered(lambda: confirm(program, screen), screen, [keys(program, yes=False)]) is False
    assert screen.settings() == before


def test_the_whole_text_is_on_the_screen(program: str, screen: Screen) -> None:
    if "curses" in program:
        screen.resize(40, 100)
    wanted, typed = keys(program, yes=False)

    async def run() -> str:
        task = asyncio.ensure_future(confirm(program, screen))
        await screen.expect(wanted)
        await asyncio.sleep(0.1)
        screen.type(typed)
        await task
        return screen.read()

    seen = asyncio.run(run())
    for line in TEXT.split("\n"):
        assert line.strip() in seen


def test_a_pin_comes_whole_and_is_not_echoed(program: str, screen: Screen) -> None:
    def ask() -> Awaitable[Secret]:
        return pinentry(program).pin(screen.terminal, description="PIN of key", timeout_seconds=20)

    typed = "pä%4 5\r" if "curses" in program else "pä%4 5\n"
    assert answered(ask, screen, [("PIN:", typed)]).reveal() == "pä%4 5".encode()
    assert "%4" not in screen.read()


def test_cancelling_leaves_a_sane_terminal_and_no_rest_of_the_pin(program: str, screen: Screen) -> None:
    before = screen.settings()

    async def run() -> None:
        task = asyncio.ensure_future(
            pinentry(program).pin(screen.terminal, description="PIN of key", timeout_seconds=20)
        )
        await screen.expect("PIN:")
        await asyncio.sleep(0.1)
        screen.type("123")
        await asyncio.sleep(0.1)
        assert screen.settings() != before
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert screen.settings() == before
    # A canonical terminal hands over "123" only with the line end, so type it and count.
    screen.type("\n")
    while screen.waiting_input() == 0:
        time.sleep(0.01)
    assert screen.waiting_input() == 1


def test_typing_ahead_does_not_answer(program: str, screen: Screen) -> None:
    screen.type("aaaa\r\r\n")

    async def run() -> bool:
        task = asyncio.ensure_future(confirm(program, screen))
        await screen.expect(keys(program, yes=True)[0])
        await asyncio.sleep(0.3)
        assert not task.done()
        screen.type(keys(program, yes=False)[1])
        return await task

    assert asyncio.run(run()) is False


def test_borrowing_drops_what_was_typed_ahead(screen: Screen) -> None:
    """Whatever the pinentry at hand does about it."""
    screen.type("yes\n")
    while screen.waiting_input() == 0:
        time.sleep(0.01)
    with BorrowedTerminal(screen.terminal) as borrowed:
        assert screen.waiting_input() == 0
        borrowed.finished = True


def test_nobody_there_times_out_by_itself(program: str, screen: Screen) -> None:
    before = screen.settings()
    with pytest.raises(TimedOut):
        asyncio.run(confirm(program, screen, timeout_seconds=0.5))
    assert screen.settings() == before


def test_closing_the_terminal_is_a_refusal(program: str, screen: Screen) -> None:
    async def run() -> bool:
        task = asyncio.ensure_future(confirm(program, screen))
        await screen.expect(keys(program, yes=True)[0])
        screen.hang_up()
        return await task

    start = time.monotonic()
    with contextlib.suppress(Dismissed):
        assert asyncio.run(run()) is False
    assert time.monotonic() - start < 5


def test_a_terminal_that_has_gone_is_not_found(program: str) -> None:
    for tty in ("/dev/pts/99999", "/dev/null", "/dev/tty", "/tmp/x", "/dev/pts/../null"):
        terminal = Terminal(tty, "xterm", "C.UTF-8")
        assert not pinentry(program).can_prompt(terminal)
        with pytest.raises(NotFound):
            asyncio.run(pinentry(program).pin(terminal, description="x", timeout_seconds=1))


def test_another_users_terminal_is_not_used(
    program: str, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may have gone to somebody else since the bus looked."""
    assert pinentry(program).can_prompt(screen.terminal)
    own = os.getuid()
    monkeypatch.setattr("ownerd.prompt.terminal.os.getuid", lambda: own + 1)
    assert not is_usable(screen.terminal)
    with pytest.raises(NotFound), BorrowedTerminal(screen.terminal):
        pass


def test_a_long_offer_is_read_page_by_page(program: str, screen: Screen) -> None:
    text = "\n".join(f"line {number:03} äöü" for number in range(150))
    yes = keys(program, yes=True)[1]
    if "curses" in program:
        screen.resize(100, 100)
        steps = [(f"[page {n} of 3]", yes) for n in (1, 2, 3)]
    else:
        steps = [("[nr]? ", "n"), ("[nr]? ", "n"), ("[ar]? ", "a")]
    assert answered(lambda: confirm(program, screen, text), screen, steps) is True


def test_a_terminal_too_small_says_so(screen: Screen) -> None:
    curses = shutil.which("pinentry-curses")
    if curses is None:
        pytest.skip("pinentry-curses is not installed")
    screen.resize(8, 40)
    with pytest.raises(NotSupported, match="too small"):
        asyncio.run(confirm(curses, screen, "\n".join("abcdefghij")))
