"""What the client believes of what it receives, and the bar of a long verification."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from ownerctl import terminal
from ownerctl.asking import plain
from ownerctl.client import Client, variants
from ownerctl.errors import BadAnswer, NoBus
from ownerctl.offline import Bar
from ownerd.dbuslib import BUS_DAEMON, Message, MessageType, Variant


class _OddBus:
    """A bus that answers a call as told. A real one lets no unrequested reply through, so none can show this."""

    unique_name = ":1.7"

    def __init__(self, **reply: Any) -> None:
        self._reply = reply

    def add_message_handler(self, handler: object) -> None:
        pass

    async def call(self, message: Message) -> Message | None:
        if not self._reply:
            return None
        return Message(message_type=MessageType.METHOD_RETURN, reply_serial=1, **self._reply)


def _call(**reply: Any) -> list[Any]:
    client = Client(_OddBus(**reply))
    client._owner = ":1.3"
    return asyncio.run(client.owner_call("Agent", "Status"))


def test_a_reply_of_another_process_is_refused() -> None:
    assert _call(sender=":1.3", signature="u", body=[1]) == [1]
    for sender in (":1.4", None, "org.ownerd.Agent1"):
        with pytest.raises(BadAnswer, match="another process"):
            _call(sender=sender, signature="u", body=[1])


def test_a_bus_that_closes_is_named() -> None:
    with pytest.raises(NoBus):
        _call()


def test_the_bus_daemon_may_answer_for_a_daemon_that_is_gone() -> None:
    assert _call(sender=BUS_DAEMON) == []


def test_variants_come_and_go() -> None:
    nested = {"a": Variant("aa{sv}", [{"b": Variant("s", "c")}]), "d": Variant("as", ["e"])}
    assert plain(nested) == {"a": [{"b": "c"}], "d": ["e"]}
    made = variants({"tty": "/dev/pts/1", "without": []})
    assert {name: one.signature for name, one in made.items()} == {"tty": "s", "without": "as"}


def test_the_bar_comes_after_a_second_and_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    for live in (False, True):
        now[0] = 0.0
        monkeypatch.setattr(sys.stderr, "isatty", lambda live=live: live, raising=False)
        bar = Bar(400, now=lambda: now[0])
        bar(10)
        now[0] = 0.9
        bar(90)
        bar.clear()
        assert capsys.readouterr().err == ""
        now[0] = 2.0
        bar(100)
        bar(101)  # too soon to be drawn again
        bar.clear()
        expected = "\r\x1b[Kverifying [########----------------------]  25%  100 of 400 entries\r\x1b[K"
        assert capsys.readouterr().err == (expected if live else "")


def test_the_environment_lends_only_what_the_daemon_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "terminal_name", lambda: "/dev/pts/3")
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert terminal.terminal_options() == {"tty": "/dev/pts/3"}
    monkeypatch.setenv("TERM", "xterm;rm -rf")
    monkeypatch.setenv("LANG", "de_AT.UTF-8@euro")
    monkeypatch.setenv("LC_CTYPE", "")
    assert terminal.terminal_options() == {"tty": "/dev/pts/3", "locale": "de_AT.UTF-8@euro"}
    monkeypatch.setattr(terminal, "terminal_name", lambda: None)
    assert terminal.terminal_options() == {}
