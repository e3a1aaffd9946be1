"""Notifications over D-Bus: the sender that `ownerd.prompt.notify` is given.

Desktop Notifications Specification 1.2, ``org.freedesktop.Notifications``. Calls carry NO_AUTOSTART, so a
server is used when it runs and is not started for us.
"""

from __future__ import annotations

from typing import Final, Self

from ownerd.dbuslib import (
    Message,
    MessageBus,
    MessageFlag,
    Variant,
    call_bus,
    close_bus,
    connect_bus,
)

SERVER: Final = "org.freedesktop.Notifications"
SERVER_PATH: Final = "/org/freedesktop/Notifications"
APP_NAME: Final = "ownerd"
_URGENCY_CRITICAL: Final = 2
_NEVER_EXPIRES: Final = 0
_CALL_SECONDS: Final = 1.0


class BusNotifications:
    """Speaks to the notification server of one bus connection.

    Both methods raise `ownerd.dbuslib.DBusError` (no server among others), `TimeoutError` or
    `ConnectionError`.
    """

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    @classmethod
    async def connect(cls, bus_address: str | None = None) -> Self:
        """Connect to the session bus, apart from the service's own connection. Raises as `connect_bus`."""
        return cls(await connect_bus(bus_address))

    async def disconnect(self) -> None:
        """Close the connection; the server withdraws nothing by itself."""
        await close_bus(self._bus)

    async def notify(self, summary: str, body: str, *, replaces: int) -> int:
        """Show a notification, or replace one (``replaces`` not 0). ``body`` is markup, escaped already.

        It stays until it is closed (critical), but not in the desktop's history (transient): a touch that
        was wanted is of no use later.
        """
        hints = {
            "urgency": Variant("y", _URGENCY_CRITICAL),
            "transient": Variant("b", True),
            "category": Variant("s", "device"),
            "desktop-entry": Variant("s", APP_NAME),
        }
        arguments = [APP_NAME, replaces, "", summary, body, [], hints, _NEVER_EXPIRES]
        reply = await self._call("Notify", "susssasa{sv}i", arguments)
        if reply.signature != "u":
            raise ConnectionError("the notification server's answer has another form")
        return int(reply.body[0])

    async def close(self, notification_id: int) -> None:
        """Withdraw a notification."""
        await self._call("CloseNotification", "u", [notification_id])

    async def _call(self, member: str, signature: str, arguments: list[object]) -> Message:
        message = Message(
            destination=SERVER,
            path=SERVER_PATH,
            interface=SERVER,
            member=member,
            signature=signature,
            body=arguments,
            flags=MessageFlag.NO_AUTOSTART,
        )
        return await call_bus(self._bus, message, timeout_seconds=_CALL_SECONDS)
