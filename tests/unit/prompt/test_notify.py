"""Touch notifications: one at a time, escaped, and never in the way."""

from __future__ import annotations

import asyncio

import pytest
from tests.rigs.notifications import FakeSender

from ownerd.prompt.notify import DesktopNotifications


def test_a_second_notice_replaces_the_first_and_is_closed_once() -> None:
    sender = FakeSender()

    async def run() -> None:
        notices = DesktopNotifications(sender)
        await notices.touch_wanted("Key", "one")
        await notices.touch_wanted("Key", "two")
        await notices.touch_done()
        await notices.touch_done()
        await notices.touch_wanted("Key", "three")

    asyncio.run(run())
    assert sender.shown == [("Touch Key", "one", 0), ("Touch Key", "two", 1), ("Touch Key", "three", 0)]
    assert sender.closed == [1]


def test_without_a_token_something_else_waits_for_the_owner() -> None:
    sender = FakeSender()
    asyncio.run(DesktopNotifications(sender).touch_wanted("", "a request waits"))
    assert sender.shown == [("ownerd", "a request waits", 0)]


def test_markup_and_hidden_characters_are_shown_as_text() -> None:
    sender = FakeSender()
    asyncio.run(DesktopNotifications(sender).touch_wanted("K\u202eey", '<a href="x">&\u200b</a>'))
    assert sender.shown == [("Touch K<U+202E>ey", '&lt;a href="x"&gt;&amp;&lt;U+200B&gt;&lt;/a&gt;', 0)]


@pytest.mark.parametrize(
    "sender", [FakeSender(fail=OSError("gone")), FakeSender(fail=ValueError("odd")), FakeSender(hang=True)]
)
def test_a_broken_server_is_no_error(sender: FakeSender) -> None:
    async def run() -> None:
        notices = DesktopNotifications(sender, send_seconds=0)
        await notices.touch_wanted("Key", "x")
        notices._shown = 4
        await notices.touch_done()

    asyncio.run(run())
    assert not sender.shown


def test_cancellation_is_not_swallowed() -> None:
    async def run() -> None:
        task = asyncio.ensure_future(DesktopNotifications(FakeSender(hang=True)).touch_wanted("Key", "x"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_long_names_are_cut_visibly() -> None:
    sender = FakeSender()
    asyncio.run(DesktopNotifications(sender).touch_wanted("K" * 500, "x"))
    assert sender.shown[0][0] == f"Touch {'K' * 200}… (300 more characters)"


def test_a_missing_server_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        notices = DesktopNotifications(FakeSender(fail=OSError("gone")))
        for _ in range(3):
            await notices.touch_wanted("Key", "x")

    with caplog.at_level("INFO"):
        asyncio.run(run())
    (told,) = caplog.messages
    assert "ownerctl pending" in told
