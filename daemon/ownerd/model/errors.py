"""The error table: every error that may reach a caller, a terminal or the ledger.

Owns the names. D-Bus names, exit codes and hints are read from these classes and nowhere else, and the
table in docs/ARCHITECTURE.md is generated from them. A message never holds a value, a path of ours or a
secret; it is one short lowercase sentence without a full stop.
"""

from __future__ import annotations

from typing import ClassVar

DBUS_PREFIX = "org.ownerd.Error."


class OwnerdError(Exception):
    """Root of the table. Never raised directly."""

    hint: ClassVar[str] = ""
    exit_code: ClassVar[int] = 1

    @property
    def id(self) -> str:
        """Name of this error, as it stands on the bus after ``org.ownerd.Error.``."""
        return type(self).__name__

    @property
    def dbus_name(self) -> str:
        """Full D-Bus error name."""
        return DBUS_PREFIX + self.id


class RequestError(OwnerdError):
    """What was asked cannot be served. Never raised directly."""


class InvalidArgument(RequestError):
    """The request or argument is malformed."""

    hint = "the message says what is wrong; for apps, docs/dbus and OpenID4VP 1.0 say what is right"
    exit_code = 2


class NotSupported(RequestError):
    """Well-formed, but a part of the standard that this version refuses by name."""

    hint = "the message names the part that is refused"


class NotAllowed(RequestError):
    """The owner, the policy or the trust level refuses."""

    hint = "the message says who or what said no"
    exit_code = 3


class Downgraded(RequestError):
    """A provider that proved who it is before is asked for now by somebody who proves less."""

    hint = "it may be an impostor, or the app sends the wrong request: ask the provider by another way"
    exit_code = 3


class KeyChanged(RequestError):
    """The request is signed by another key than the one that the owner accepted for this provider."""

    hint = "an impostor, or the provider has a new key: ask it by another way, and forget the provider to accept it"
    exit_code = 3


class ClockWrong(RequestError):
    """The clock stands before the newest ledger entry, and what is asked is not valid by it."""

    hint = "set the clock; if it was ahead when that entry was made, entries keep its time until then, which does no harm"


class NotFound(RequestError):
    """No such claim, provider, entry, request or token."""

    hint = (
        "list what there is: ownerctl data list, provider list, grant list, token list, ledger log, pending"
    )


class Busy(RequestError):
    """Too many requests at once, or another operation holds the token."""

    hint = "try again in a moment"


class Locked(RequestError):
    """The vault is locked and the operation does not wait."""

    hint = "run ownerctl unlock"


class NotSetUp(RequestError):
    """There is no vault yet."""

    hint = "run ownerctl setup"


class UserError(OwnerdError):
    """The person at the prompt ended it. Never raised directly."""

    exit_code = 3


class Dismissed(UserError):
    """The owner refused or closed the prompt."""

    hint = "nothing was released"


class Cancelled(UserError):
    """The caller cancelled, or the daemon locked, before the owner decided."""

    hint = "nothing was released"


class TimedOut(UserError):
    """Nobody answered in time."""

    hint = "nothing was released; ask again"


class TokenError(OwnerdError):
    """The token could not do its part. Never raised directly."""

    exit_code = 4


class TokenMissing(TokenError):
    """No enrolled token is present."""

    hint = "plug in or present an enrolled token"


class TokenRemoved(TokenError):
    """The token went away in the middle of an operation."""

    hint = "put the token back and ask again"


class PinWrong(TokenError):
    """The PIN was wrong; ``tries_left`` counts what remains, or is None where the token does not say."""

    hint = "ask again to get another try"

    def __init__(self, message: str = "wrong PIN", *, tries_left: int | None = None) -> None:
        super().__init__(message if tries_left is None else f"{message}, {tries_left} tries left")
        self.tries_left = tries_left


class PinBlocked(TokenError):
    """The token takes no more PINs until it is re-plugged or reset."""

    hint = "re-plug the token; if it stays blocked it must be reset"


class PinAtRisk(TokenError):
    """So few PIN tries are left that ownerd does not ask: a mistake could block the token for good."""

    hint = "the right PIN restores the tries: give it to ownerctl token pin, or to the token's own software"

    def __init__(self, message: str = "too few PIN tries are left", *, tries_left: int | None = None) -> None:
        super().__init__(message if tries_left is None else f"{message} ({tries_left}); no PIN was asked for")
        self.tries_left = tries_left


class KeysMissing(TokenError):
    """The card shows no signing key that ownerd can use."""

    hint = "on a PIV card ownerctl setup --make-keys or ownerctl token add --make-keys makes new ones; else its own software"


class ManagementKeyWrong(TokenError):
    """The card refuses the management key, or what was typed cannot be one; its keys stay as they are."""

    hint = "ask again with the card's own management key, in hex; ownerd knows and tries no default"


class PinUnfit(TokenError):
    """The token cannot take the new PIN, or it was typed in two ways."""

    hint = "the old PIN still holds; choose another new one, and type it twice alike"


class PinNeeded(TokenError):
    """The token asks for a PIN where none was announced."""

    hint = "ask again; the token now wants its PIN"


class TouchTimeout(TokenError):
    """The token was not touched in time."""

    hint = "ask again and touch the token while it blinks"


class TouchDenied(TokenError):
    """The touch was refused on the token."""

    hint = "nothing was released"
    exit_code = 3


class Unsupported(TokenError):
    """The token lacks something ownerd needs (ES256, hmac-secret)."""

    hint = "use a FIDO2 token with hmac-secret"


class WrongKey(TokenError):
    """The token answered with another secret or credential than the one enrolled."""

    hint = "was the token reset, or does the keyslot belong to another mode (with or without PIN)?"


class ProtocolBroken(TokenError):
    """The token's answer breaks its protocol; nothing from it was used."""

    hint = "do not trust this token; try another"


class LedgerError(OwnerdError):
    """The ledger is not what it should be. Never raised directly."""

    hint = "keep the file, compare with a backup, and see docs/LEDGER.md"
    exit_code = 5


class Malformed(LedgerError):
    """Bytes that our own formatter would never have written."""


class BadSignature(LedgerError):
    """A checkpoint, an approval or a proof whose signature does not hold."""


class Tampered(LedgerError):
    """Entries, tree and checkpoints contradict each other."""


class RolledBack(LedgerError):
    """A head kept elsewhere signed more than this ledger has: it is an older copy. Nothing was disclosed."""

    hint = (
        "bring the newer ledger back; if it is lost, restore a backup, and take the head away only knowingly"
    )


class Forked(LedgerError):
    """A head kept elsewhere signed another history of this ledger. Nothing was disclosed."""

    hint = "find out which copy is yours: two computers may have gone on from one; see docs/LEDGER.md"


class BadHead(LedgerError):
    """Where a head was kept is something else: damaged, of another ledger, or not signed by this one's key."""

    hint = "look at what lies there, take it away if it is not yours, and unlock again"


class StorageError(OwnerdError):
    """The database cannot be read or written."""

    hint = "check free space and file permissions of the data directory"


class VaultDamaged(StorageError):
    """A sealed record does not open, or the vault is not the one the ledger names."""

    hint = "restore from a backup; nothing was disclosed"


class UnsafeFile(StorageError):
    """A file or directory of ours is a symlink, or belongs to or is open to others."""

    hint = "the message names what to repair"


class BackupDamaged(StorageError):
    """A file that is no backup of ownerd, or one that was changed, cut or put together from several."""

    hint = "nothing was changed here; try another copy of the backup"


class ConfigError(OwnerdError):
    """The configuration file is malformed."""

    hint = "see ownerd(8) for the keys that config.toml may have"
    exit_code = 2


class InternalError(OwnerdError):
    """A bug of ours. The message is a reference number into the daemon's log and nothing else."""

    hint = "please report it with the daemon's log lines of that reference"


def error_table() -> dict[str, type[OwnerdError]]:
    """Return every concrete error by its name, in the order of the classes above."""
    abstract = {OwnerdError, RequestError, UserError, TokenError, LedgerError}
    found: dict[str, type[OwnerdError]] = {}

    def walk(parent: type[OwnerdError]) -> None:
        for child in parent.__subclasses__():
            if child not in abstract and child.__module__ == __name__:
                found[child.__name__] = child
            walk(child)

    walk(OwnerdError)
    return found
