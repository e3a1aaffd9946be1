"""The Assuan codec and conversation, over bytes in memory."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownerd.model.errors import Dismissed, InternalError, InvalidArgument
from ownerd.prompt.assuan import (
    MAX_LINE_BYTES,
    MAX_REPLY_LINES,
    Client,
    Reply,
    format_command,
    format_escaped,
    parse_escaped,
    room_for,
)


def answer(received: bytes, command: str = "CONFIRM") -> Reply:
    async def run() -> Reply:
        reader = asyncio.StreamReader(limit=MAX_LINE_BYTES + 1)
        reader.feed_data(received)
        reader.feed_eof()
        return await Client(reader, lambda line: None).transact(command)

    return asyncio.run(run())


@given(st.binary(max_size=300))
def test_escaping_has_an_exact_inverse(data: bytes) -> None:
    escaped = format_escaped(data)
    assert parse_escaped(escaped) == data
    assert b"\n" not in escaped
    assert b"\r" not in escaped


@pytest.mark.parametrize("text", [b"%", b"%2", b"1%", b"%zz", b"%2g", b"%\n0", b"a\rb", b"a\nb", b"%%25"])
def test_bad_escapes_are_refused(text: bytes) -> None:
    with pytest.raises(InternalError):
        parse_escaped(text)


def test_lower_case_escapes_are_read() -> None:
    assert parse_escaped(b"%c3%a4") == "ä".encode()


def test_a_command_is_one_line_within_the_bound() -> None:
    assert format_command("SETDESC", "a\nb\r%") == b"SETDESC a%0Ab%0D%25\n"
    assert format_command("CONFIRM") == b"CONFIRM\n"
    assert len(format_command("SETDESC", "x" * room_for("SETDESC"))) == MAX_LINE_BYTES + 1
    with pytest.raises(InvalidArgument):
        format_command("SETDESC", "x" * (room_for("SETDESC") + 1))
    with pytest.raises(InvalidArgument):
        format_command("SETDESC", "%" * (room_for("SETDESC") // 3 + 1))


@pytest.mark.parametrize("command", ["", "setdesc", "A B", "A\n", "Ä"])
def test_only_commands_are_sent(command: str) -> None:
    with pytest.raises((InvalidArgument, UnicodeEncodeError)):
        format_command(command)


@pytest.mark.parametrize(
    ("received", "reply"),
    [
        (b"OK\n", Reply(None, None, bare_ok=True)),
        (b"OK fine\n", Reply(None, None, bare_ok=False)),
        (b"S BUTTON_INFO close\n# note\nOK\n", Reply(None, None, bare_ok=True)),
        (b"D 12\nD %2534\nOK\n", Reply(b"12%34", None, bare_ok=True)),
        (b"D \nOK\n", Reply(b"", None, bare_ok=True)),
        (b"ERR 83886179 Operation cancelled <Pinentry>\n", Reply(None, 99, bare_ok=False)),
        (b"ERR 83886142\n", Reply(None, 62, bare_ok=False)),
        (b"ERR 83886194 Not confirmed\n", Reply(None, 114, bare_ok=False)),
        (b"ERR 0 lies\n", Reply(None, 1, bare_ok=False)),
        (b"ERR 65536 lies\n", Reply(None, 1, bare_ok=False)),
    ],
)
def test_answers(received: bytes, reply: Reply) -> None:
    assert answer(received) == reply


def test_an_error_drops_data_that_came_before_it() -> None:
    assert answer(b"D 1234\nERR 83886179 x\n") == Reply(None, 99, bare_ok=False)


@pytest.mark.parametrize(
    "received",
    [
        b"\n",
        b"ok\n",
        b"OKAY\n",
        b" OK\n",
        b"OK\r\n",
        b"\xff\xfe\n",
        b"INQUIRE QUALITY x\n",
        b"END\n",
        b"D\nOK\n",
        b"D a%\nOK\n",
        b"ERR\n",
        b"ERR x\n",
        b"ERR -1 x\n",
        b"ERR 12345678901 x\n",
        b"S" + b"x" * 2000,
        b"S " + b"x" * (MAX_LINE_BYTES - 1) + b"\nOK\n",
        b"S x\n" * MAX_REPLY_LINES + b"OK\n",
        (b"D " + b"x" * 900 + b"\n") * 3 + b"OK\n",
    ],
)
def test_a_broken_answer_is_refused_without_its_bytes(received: bytes) -> None:
    with pytest.raises(InternalError) as caught:
        answer(received)
    assert "xx" not in str(caught.value)


def test_the_longest_lawful_line_is_read() -> None:
    assert answer(b"D " + b"x" * (MAX_LINE_BYTES - 2) + b"\nOK\n").data == b"x" * (MAX_LINE_BYTES - 2)


@pytest.mark.parametrize("received", [b"", b"O", b"OK", b"S x\n", b"D 1234\n"])
def test_an_end_in_the_middle_is_dismissed(received: bytes) -> None:
    with pytest.raises(Dismissed):
        answer(received)


def test_an_error_to_a_required_command_is_named_without_the_argument() -> None:
    async def run() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"ERR 83886254 Unknown option <Pinentry>\n")
        await Client(reader, lambda line: None).require("OPTION", "ttyname=/dev/pts/9")

    with pytest.raises(InternalError, match="refused OPTION, code 174") as caught:
        asyncio.run(run())
    assert "pts" not in str(caught.value)


def test_a_refusing_greeting_is_refused() -> None:
    async def run() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"ERR 1 no\n")
        await Client(reader, lambda line: None).greeting()

    with pytest.raises(InternalError):
        asyncio.run(run())


def test_a_closed_pipe_is_dismissed() -> None:
    def write(line: bytes) -> None:
        raise BrokenPipeError

    async def run() -> None:
        await Client(asyncio.StreamReader(), write).transact("CONFIRM")

    with pytest.raises(Dismissed):
        asyncio.run(run())
