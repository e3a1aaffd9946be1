"""The terminal at the moment when typing and a question cross."""

from __future__ import annotations

import asyncio
import os
from threading import Event

import pytest

from ownerd.softtoken.terminal import Terminal
from ownerd.softtoken.touch import Act, Answer, Ask


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


async def _ask(reading, before, after, timeout_seconds=0.3):
    """Type ``before`` so that it is readable in the very pass of the loop in which the question begins."""
    loop = asyncio.get_running_loop()
    terminal = Terminal(loop, asyncio.Event(), descriptor=reading)
    terminal.start()
    before()
    question = loop.create_task(terminal._ask(Ask(Act.APPROVE, "ownerd:owner"), timeout_seconds))
    loop.call_later(0.1, after)
    try:
        return await asyncio.wait_for(question, 5)
    finally:
        terminal.stop()


@pytest.mark.timeout(10)  # a read that blocks would stop the loop, and with it every timeout in it
def test_an_enter_that_crosses_the_question_is_thrown_away(pipe) -> None:
    reading, writing = pipe
    answer = asyncio.run(_ask(reading, lambda: os.write(writing, b"\n\n"), lambda: None))
    assert answer is Answer.TIMED_OUT


@pytest.mark.timeout(10)
def test_the_beginning_of_an_earlier_line_does_not_change_the_answer(pipe) -> None:
    reading, writing = pipe
    answer = asyncio.run(_ask(reading, lambda: os.write(writing, b"n"), lambda: os.write(writing, b"\n")))
    assert answer is Answer.TOUCHED


def test_a_cancel_is_noticed_within_a_moment(pipe) -> None:
    reading, _writing = pipe

    async def run():
        loop = asyncio.get_running_loop()
        terminal = Terminal(loop, asyncio.Event(), descriptor=reading)
        cancel = Event()
        loop.call_later(0.1, cancel.set)
        began = loop.time()
        answer = await asyncio.to_thread(terminal, Ask(Act.SELECT), cancel, 30.0)
        return answer, loop.time() - began

    answer, seconds = asyncio.run(run())
    assert answer is Answer.CANCELLED
    assert seconds < 1
