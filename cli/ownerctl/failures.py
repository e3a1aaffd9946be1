"""Errors that came over the bus, as the errors of the table that they name."""

from __future__ import annotations

from typing import NoReturn

from ownerctl.errors import BadAnswer
from ownerd.model.errors import DBUS_PREFIX, NotAllowed, OwnerdError, error_table

REFUSED = 1
_ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"


def raise_remote(name: str, message: str, *, code: int = 2) -> NoReturn:
    """Raise the error that the daemon named, bare or with the D-Bus prefix.

    A name that is not in the table becomes `NotAllowed` where the response code says refused, else
    `BadAnswer`; its text is shown and never trusted.
    """
    if name == _ACCESS_DENIED:
        raise NotAllowed("the bus does not allow this call")
    found: type[OwnerdError] | None = error_table().get(name.removeprefix(DBUS_PREFIX))
    if found is not None:
        raise found(message or found.__name__)
    if code == REFUSED:
        raise NotAllowed(message or "refused")
    raise BadAnswer(f"the daemon failed: {message or name or 'no reason given'}")
