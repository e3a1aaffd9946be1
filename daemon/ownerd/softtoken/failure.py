"""What ends ``ownerd-softtoken`` with a message for the person at its terminal."""

from __future__ import annotations


class Failure(Exception):
    """Cannot start or go on; the message says why and names the file where there is one."""


class StateError(Failure):
    """The state file cannot be used."""


class SocketError(Failure):
    """The socket cannot be made."""
