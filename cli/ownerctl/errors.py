"""The tool's own additions to the error table: what can go wrong on this side of the bus.

Same manners as `ownerd.model.errors`: one short lowercase sentence, no value, no path of ours.
"""

from __future__ import annotations

from ownerd.model.errors import Malformed, RequestError


class CommandError(RequestError):
    """Root of this file. ``hint`` may be given where the class's own would be too general."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.given_hint = hint


class NotRunning(CommandError):
    """Nobody owns the name on the bus, and it cannot be activated."""

    hint = "systemctl --user start ownerd, or run ownerd in another terminal"


class NoBus(CommandError):
    """There is no session bus to talk on."""

    hint = "log in to a session, or run the command under dbus-run-session"


class ForeignAgent(CommandError):
    """Who answers on the bus is not the daemon whose session key lies in the runtime directory."""

    hint = "end the process that holds the name, then start ownerd"


class AgentGone(CommandError):
    """The daemon ended, as it does when it locks, before it answered."""

    hint = "ownerctl status shows how things stand; ownerctl ledger log shows what was recorded"


class NotLocked(CommandError):
    """The daemon was told to lock and has not ended, so its keys are still in memory."""

    hint = "end the process yourself: systemctl --user stop ownerd"


class BadAnswer(CommandError):
    """The daemon, or what sat in its place, answered something that its contract does not allow."""

    hint = "do the versions of ownerd and ownerctl match?"


class BadPresentation(CommandError):
    """A credential that does not hold: signature, digest, nonce or audience."""

    hint = "do not use the values; nothing of them was printed"


class NotAccepted(CommandError):
    """The owner offered something else than was asked, and nobody accepted it."""

    hint = "ask for what is offered, or take it with --accept"
    exit_code = 6


class FileTrouble(CommandError):
    """A file that the command names cannot be read or written."""

    hint = "check the name and its permissions"


class NotALedger(Malformed):
    """A file that was named as a ledger is something else. ``hint`` may be given, as of `CommandError`."""

    hint = "the ledger is the file ownerd.db in ~/.local/share/ownerd; name a copy of it with --file"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.given_hint = hint


class UsageTrouble(CommandError):
    """The command line makes sense to the parser and not to us."""

    hint = "ownerctl --help"
    exit_code = 2


class StillLocked(CommandError):
    """The vault is locked, and the command does not unlock it by itself."""

    hint = "run ownerctl unlock"


class StillOpen(CommandError):
    """The vault is open, and the command is for a vault that nobody can open."""

    hint = "ownerctl token add enrols a token; to try the code out, run ownerctl lock first"


class NoCode(CommandError):
    """There is no recovery code to use."""

    hint = "only a token that is enrolled opens the vault then: ownerctl unlock"


class NoToken(CommandError):
    """There is nothing to enrol."""

    hint = "plug in a FIDO2 key, or start ownerd-softtoken in another terminal (the first time with --new)"
    exit_code = 4


class NothingThere(CommandError):
    """What the command is about does not exist here."""

    hint = "ownerctl status shows what there is"


class AlreadySetUp(CommandError):
    """There is a vault; it is never made anew over the old one."""

    hint = "ownerctl status shows it"
