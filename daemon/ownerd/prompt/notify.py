"""Desktop notifications while a token waits for a touch.

A notification goes over the session bus, where any process of the same user can read it: it names the
token and what kind of thing is asked, never a value. It is a help, not a part of any decision, so nothing
here raises: without a notification server the touch works just as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final, Protocol

from ownerd.model.plain import shorten, show_plain

_SEND_SECONDS: Final = 1.0
_MAX_TEXT: Final = 200
_log = logging.getLogger(__name__)


class NotificationSender(Protocol):
    """A way to the desktop's notification server; ``ownerd.bus.notifications`` has the one over D-Bus."""

    async def notify(self, summary: str, body: str, *, replaces: int) -> int:
        """Show (``replaces`` 0) or replace a notification; return its id. May raise anything."""

    async def close(self, notification_id: int) -> None:
        """Withdraw it. May raise anything."""


class DesktopNotifications:
    """Shows at most one notification at a time."""

    def __init__(self, sender: NotificationSender, *, send_seconds: float = _SEND_SECONDS) -> None:
        self._sender = sender
        self._send_seconds = send_seconds
        self._shown = 0
        self._failed = False  # said once

    async def touch_wanted(self, token_name: str, reason: str) -> None:
        """Say that a token waits for a touch; without ``token_name``: that something waits for the owner.

        Never raises, but for cancellation.
        """
        summary = f"Touch {_plain(token_name)}" if token_name else "ownerd"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._send_seconds):
                await self._try_notify(summary, _escape(_plain(reason)))

    async def touch_done(self) -> None:
        """Withdraw it. Never raises, but for cancellation."""
        shown, self._shown = self._shown, 0
        if not shown:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._send_seconds):
                try:
                    await self._sender.close(shown)
                except Exception as error:  # noqa: BLE001  the server is another's program: nothing of it may end a touch
                    _log.info("notification not withdrawn: %s", type(error).__name__)

    async def _try_notify(self, summary: str, body: str) -> None:
        try:
            self._shown = await self._sender.notify(summary, body, replaces=self._shown)
        except Exception as error:  # noqa: BLE001  as above
            if not self._failed:
                _log.info(
                    "no notifications: %s; requests that wait are shown by ownerctl pending",
                    type(error).__name__,
                )
            self._failed = True


def _plain(text: str) -> str:
    return show_plain(shorten(text, _MAX_TEXT))


def _escape(text: str) -> str:
    import html  # brings a table of all entities, which no start needs

    return html.escape(text, quote=False)
