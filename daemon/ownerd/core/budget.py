"""Being disturbed less: how often an app may come before the owner.

Counted by the app's label; a label is not proof, so the owner's own acts do not go through here and one app's
limits are the most that another can use up by posing as it. Requests that a live grant serves disturb nobody and
are not counted.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from typing import Final

from msgspec import Struct, field

from ownerd.core.ports import Clock, Notebook
from ownerd.model.caller import Caller, Confidence
from ownerd.model.errors import Busy, NotAllowed

PER_MINUTE: Final = 20
COOL_DOWN_MS: Final = 2_000
MAX_COOL_DOWN_MS: Final = 600_000
MAX_APPS: Final = 256
_MINUTE_MS: Final = 60_000


class _App(Struct):
    asked: deque[int] = field(default_factory=deque)
    refusals: int = 0
    quiet_until_ms: int = 0


class Budget:
    """What each app has left. ``notebook`` keeps refusals for today over a lock, which ends the process."""

    def __init__(self, clock: Clock, notebook: Notebook, *, per_minute: int = PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._notebook = notebook
        self._apps: dict[tuple[str, str], _App] = {}
        self._today = _parse(notebook.read())

    def admit(self, caller: Caller) -> None:
        """Count one request that the owner would be asked about. Raises `Busy`, `NotAllowed`."""
        if self._today.get(_name(caller), 0) > self._clock.now_ms():
            raise NotAllowed("the owner wants no requests of this app today")
        app, now = self._app(caller), self._clock.passed_ms()
        if now < app.quiet_until_ms:
            left = (app.quiet_until_ms - now + 999) // 1000
            raise Busy(f"the owner refused this app; it may ask again in {left} seconds")
        while app.asked and app.asked[0] <= now - _MINUTE_MS:
            app.asked.popleft()
        if len(app.asked) >= self._per_minute:
            raise Busy(f"an app may ask {self._per_minute} times a minute")
        app.asked.append(now)

    def refused(self, caller: Caller) -> None:
        """The owner refused: the next request has to wait, each time twice as long."""
        app = self._app(caller)
        pause = min(COOL_DOWN_MS << min(app.refusals, 16), MAX_COOL_DOWN_MS)
        app.refusals += 1
        app.quiet_until_ms = self._clock.passed_ms() + pause

    def approved(self, caller: Caller) -> None:
        """The owner approved: what was refused before is forgiven."""
        app = self._app(caller)
        app.refusals, app.quiet_until_ms = 0, 0

    def refuse_today(self, caller: Caller) -> None:
        """Refuse whatever the app asks until midnight, local time."""
        now = self._clock.now_ms()
        self._today = {name: until for name, until in self._today.items() if until > now}
        if len(self._today) >= MAX_APPS:
            raise Busy("too many apps are refused already")
        self._today[_name(caller)] = _midnight_ms(now)
        self._notebook.write(json.dumps(self._today).encode())

    def _app(self, caller: Caller) -> _App:
        # Unknown callers share one budget: a flood of nameless ones is one flood.
        key = (caller.label, caller.confidence.value)
        if key not in self._apps and len(self._apps) >= MAX_APPS:
            self._apps.pop(next(iter(self._apps)))
        return self._apps.setdefault(key, _App())


def _name(caller: Caller) -> str:
    return caller.label if caller.confidence is not Confidence.UNKNOWN else "?"


def _midnight_ms(now_ms: int) -> int:
    now = dt.datetime.fromtimestamp(now_ms / 1000).astimezone()
    tomorrow = (now + dt.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(tomorrow.timestamp() * 1000)


def _parse(raw: bytes) -> dict[str, int]:
    """What the notebook holds; anything that it should not hold is as nothing."""
    try:
        value = json.loads(raw or b"{}")
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: until for name, until in value.items() if isinstance(until, int)}
