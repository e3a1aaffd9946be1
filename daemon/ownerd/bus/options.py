"""Options dictionaries: every key is documented in docs/dbus, everything else is refused by name."""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct, field

from ownerd.bus.label import clean_text
from ownerd.bus.terminal import require_terminal
from ownerd.core.service import Narrowing, Wishes
from ownerd.credential.transaction_data import MAX_RETENTION_DAYS
from ownerd.dbuslib import Variant
from ownerd.model.caller import Caller, Terminal
from ownerd.model.claim import OFFERED, require_offered_name
from ownerd.model.errors import InvalidArgument
from ownerd.model.policy import MAX_GRANT_COUNT, MAX_GRANT_DAYS, MAX_GRANT_PER_HOUR, GrantLimits

MAX_TEXT_BYTES: Final = 256 * 1024
MAX_TOKEN_ID_CHARS: Final = 256
_HANDLE_TOKEN = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_NEGOTIATION = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PENDING_ID = re.compile(r"[A-Za-z0-9-]{1,32}", re.ASCII)

TERMINAL_OPTIONS: Final = {"tty": "s", "term": "s", "locale": "s"}
REQUEST_OPTIONS: Final = {"handle_token": "s", **TERMINAL_OPTIONS}
PRESENT_OPTIONS: Final = {
    **REQUEST_OPTIONS,
    "negotiate": "b",
    "negotiation": "s",
    "accept": "b",
    "ask": "b",
}
_BOUNDS: Final = {
    "retention_days": (0, MAX_RETENTION_DAYS),
    "grant_days": (1, MAX_GRANT_DAYS),
    "grant_count": (1, MAX_GRANT_COUNT),
    "grant_per_hour": (1, MAX_GRANT_PER_HOUR),
}
_GRANT: Final = ("grant_days", "grant_count", "grant_per_hour")
APPROVE_OPTIONS: Final = {"without": "as", **dict.fromkeys(_BOUNDS, "u"), **TERMINAL_OPTIONS}


class Options(Struct, frozen=True):
    """Options of one call, types and forms checked; the terminal only by `terminal`."""

    handle_token: str | None = None
    tty: str | None = None
    term: str | None = None
    locale: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    narrowing: Narrowing = field(default_factory=Narrowing)

    def terminal(self, caller: Caller) -> Terminal | None:
        """The lent terminal, or None. Raises as `require_terminal`."""
        if self.tty is None:
            return None
        return require_terminal(self.tty, self.term, self.locale, caller.uid)


def parse_options(given: dict[str, Variant], allowed: dict[str, str]) -> Options:
    """Check ``given`` against ``allowed`` (key → D-Bus signature). Raises `InvalidArgument`."""
    values: dict[str, Any] = {}
    for key, variant in given.items():
        if key not in allowed:
            raise InvalidArgument(f"unknown option {clean_text(key, 40)!r}")
        if variant.signature != allowed[key]:
            raise InvalidArgument(f"option {key} is not of type {allowed[key]}")
        values[key] = variant.value
    token = values.get("handle_token")
    if token is not None and not _HANDLE_TOKEN.fullmatch(token):
        raise InvalidArgument("option handle_token is not 1 to 64 letters, digits or underscores")
    return Options(
        handle_token=token,
        **{key: values.get(key) for key in TERMINAL_OPTIONS},
        wishes=_parse_wishes(values),
        narrowing=_parse_narrowing(values),
    )


def _parse_wishes(values: dict[str, Any]) -> Wishes:
    negotiation = values.get("negotiation")
    if negotiation is not None and not _NEGOTIATION.fullmatch(negotiation):
        raise InvalidArgument("option negotiation is not the id of a negotiation")
    if values.get("accept") and negotiation is None:
        raise InvalidArgument("option accept needs option negotiation")
    return Wishes(
        negotiate=values.get("negotiate", False),
        negotiation=negotiation,
        accept=values.get("accept", False),
        ask=values.get("ask", False),
    )


def _parse_narrowing(values: dict[str, Any]) -> Narrowing:
    without = values.get("without", [])
    if len(without) > len(OFFERED):
        raise InvalidArgument("option without names more claims than there are")
    for key, (least, most) in _BOUNDS.items():
        if key in values and not least <= values[key] <= most:
            raise InvalidArgument(f"option {key} is not from {least} to {most}")
    given = [key for key in _GRANT if key in values]
    if given and len(given) < len(_GRANT):
        raise InvalidArgument(
            "options grant_days, grant_count and grant_per_hour go together, all three or none"
        )
    return Narrowing(
        without=frozenset(require_offered_name(name) for name in without),
        retention_days=values.get("retention_days"),
        grant=GrantLimits(*(values[key] for key in _GRANT)) if given else None,
    )


def require_text(text: str, what: str) -> str:
    """Return ``text``. Raises `InvalidArgument` when it is empty or longer than 256 KiB in UTF-8."""
    if not text:
        raise InvalidArgument(f"the {what} is empty")
    if len(text) > MAX_TEXT_BYTES or len(text.encode()) > MAX_TEXT_BYTES:
        raise InvalidArgument(f"the {what} is larger than 256 KiB")
    return text


def require_pending_id(text: str) -> str:
    """Return ``text``. Raises `InvalidArgument` when no waiting request can have it as its id."""
    if not _PENDING_ID.fullmatch(text):
        raise InvalidArgument("not the id of a waiting request")
    return text


def require_negotiation(text: str) -> str:
    """Return ``text``. Raises `InvalidArgument` when no negotiation can have it as its id."""
    if not _NEGOTIATION.fullmatch(text):
        raise InvalidArgument("not the id of a negotiation")
    return text


def require_token_id(text: str) -> str:
    """Return ``text``. Raises `InvalidArgument` when no token that is present can have it as its id."""
    if not text.isprintable() or not 0 < len(text) <= MAX_TOKEN_ID_CHARS:
        raise InvalidArgument("not the id of a token")
    return text
