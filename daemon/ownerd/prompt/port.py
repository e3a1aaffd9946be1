"""The whole `ownerd.core.ports.PromptPort`: questions through pinentry, touches through the desktop."""

from __future__ import annotations

from ownerd.core.ports import Typed
from ownerd.model.caller import Terminal
from ownerd.model.secret import Secret
from ownerd.prompt.notify import DesktopNotifications
from ownerd.prompt.pinentry import Pinentry


class Prompts:
    """Wires the two halves; ``notifications`` None: the daemon is not on a desktop's bus."""

    def __init__(self, pinentry: Pinentry, notifications: DesktopNotifications | None = None) -> None:
        self._pinentry = pinentry
        self._notifications = notifications

    def can_prompt(self, terminal: Terminal | None) -> bool:
        """See the port."""
        return self._pinentry.can_prompt(terminal)

    async def pin(
        self,
        terminal: Terminal | None,
        *,
        description: str,
        timeout_seconds: float,
        asks: Typed = "PIN",
    ) -> Secret:
        """See the port."""
        return await self._pinentry.pin(
            terminal, description=description, timeout_seconds=timeout_seconds, asks=asks
        )

    async def confirm(
        self,
        terminal: Terminal | None,
        *,
        description: str,
        approve_label: str,
        refuse_label: str,
        timeout_seconds: float,
    ) -> bool:
        """See the port."""
        return await self._pinentry.confirm(
            terminal,
            description=description,
            approve_label=approve_label,
            refuse_label=refuse_label,
            timeout_seconds=timeout_seconds,
        )

    async def touch_wanted(self, token_name: str, reason: str) -> None:
        """See the port."""
        if self._notifications is not None:
            await self._notifications.touch_wanted(token_name, reason)

    async def touch_done(self) -> None:
        """See the port."""
        if self._notifications is not None:
            await self._notifications.touch_done()
