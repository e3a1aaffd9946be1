"""Notifications over a private bus."""

from __future__ import annotations

import asyncio

from tests.rigs.notifications import NotificationBus, NotificationServer, serving

from ownerd.bus.notifications import SERVER, BusNotifications
from ownerd.dbuslib import close_bus, connect_bus
from ownerd.prompt.notify import DesktopNotifications


def test_a_notice_is_shown_replaced_and_withdrawn(notification_bus: NotificationBus) -> None:
    server = NotificationServer()

    async def run() -> None:
        async with serving(notification_bus.address, server) as bus:
            notices = DesktopNotifications(BusNotifications(bus))
            await notices.touch_wanted("Key", "unlock")
            await notices.touch_wanted("Key", "a <request>")
            assert server.on_screen == {7: ("Touch Key", "a &lt;request&gt;")}
            await notices.touch_done()
            assert server.on_screen == {}

    asyncio.run(run())
    _, app, replaces, _, _, _, actions, hints, expires = server.calls[0]
    assert (app, replaces, actions, expires) == ("ownerd", 0, [], 0)
    assert hints["urgency"].value == 2
    assert hints["transient"].value is True


def test_without_a_server_nothing_is_raised_and_nothing_is_started(notification_bus: NotificationBus) -> None:
    started = notification_bus.services / "started"
    (notification_bus.services / f"{SERVER}.service").write_text(
        f"[D-BUS Service]\nName={SERVER}\nExec=/usr/bin/touch {started}\n"
    )

    async def run() -> None:
        bus = await connect_bus(notification_bus.address)
        notices = DesktopNotifications(BusNotifications(bus))
        await notices.touch_wanted("Key", "unlock")
        await notices.touch_done()
        await asyncio.sleep(0.1)
        await close_bus(bus)

    asyncio.run(run())
    assert not started.exists()


def test_a_rude_or_silent_server_does_not_delay_the_touch(notification_bus: NotificationBus) -> None:
    async def run(server: NotificationServer) -> float:
        async with serving(notification_bus.address, server) as bus:
            start = asyncio.get_running_loop().time()
            await DesktopNotifications(BusNotifications(bus), send_seconds=0.2).touch_wanted("Key", "x")
            return asyncio.get_running_loop().time() - start

    assert asyncio.run(run(NotificationServer(rude=True))) < 0.2
    assert asyncio.run(run(NotificationServer(silent=True))) < 1


def test_a_lost_bus_is_no_error(notification_bus: NotificationBus) -> None:
    async def run() -> None:
        sender = await BusNotifications.connect(notification_bus.address)
        await sender.disconnect()
        await DesktopNotifications(sender).touch_wanted("Key", "x")

    asyncio.run(run())
