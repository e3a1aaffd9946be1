"""Ports: what the core needs from the world. Adapters in tokens, storage, prompt and bus implement them.

Each port has a contract suite under tests/contract that runs on the fake and on every real adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from ownerd.model.caller import Terminal
from ownerd.model.names import Progress
from ownerd.model.secret import Secret
from ownerd.model.token import CurveName, SecretHandle, TokenAnswer, TokenCredential, TokenInfo

# -- world --


class Clock(Protocol):
    """The time of day, which may be wrong and be set, and the time that passes, which nobody sets."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by the wall clock."""

    def passed_ms(self) -> int:
        """Milliseconds since some moment, those asleep included."""


class Rng(Protocol):
    """Source of random bytes; `os.urandom` outside tests."""

    def __call__(self, size: int, /) -> bytes:
        """Return ``size`` random bytes."""


class Notebook(Protocol):
    """A few bytes that outlive the process, until the owner logs out. Nothing secret; lost is as never written."""

    def read(self) -> bytes:
        """What was written last, or nothing. Never raises."""

    def write(self, text: bytes) -> None:
        """Replace it. Never raises."""


# -- tokens --

# With so few tries left a PIN is asked for only to change it, once the owner has confirmed.
PIN_TRIES_AT_RISK: Final = 2
# What is typed into a prompt, and its most bytes: a PIN (CTAP 2.1, section 6.5.1), a card's management key in hex
# (64 digits, and room for what people put between them), a recovery code.
Typed = Literal["PIN", "Key", "Code"]
MAX_TYPED_BYTES: Final[Mapping[Typed, int]] = {"PIN": 63, "Key": 128, "Code": 63}


class TokenUi(Protocol):
    """What a token adapter may ask of the person while it works. Called on the event loop."""

    async def pin(self, token: TokenInfo) -> Secret:
        """Return the PIN that the owner typed now. Raises `Dismissed`, `TimedOut` or `PinAtRisk`."""

    async def new_pin(self, token: TokenInfo) -> Secret:
        """Return a new PIN that the owner typed twice alike. Raises `Dismissed`, `TimedOut`, `PinUnfit`."""

    async def confirm_new_keys(self, token: TokenInfo, shown: Sequence[str]) -> None:
        """Return once the owner has agreed that the keys of a card are replaced, ``shown`` ones (slots) too.

        Raises `Dismissed` or `TimedOut`.
        """

    async def management_key(self, token: TokenInfo) -> Secret:
        """Return the card's management key, 16, 24 or 32 bytes, that the owner typed now.

        Raises `Dismissed`, `TimedOut`, `ManagementKeyWrong`.
        """

    def touch_needed(self, token: TokenInfo, timeout_seconds: float) -> None:
        """Say that a touch is wanted. Called before the command goes to the token."""


class Recognised(Struct, frozen=True):
    """Which enrolled tokens are present: credential id → the id in `TokenPort.present`.

    ``busy`` says of each token that could not be asked now which it is and, as far as known, who holds it.
    """

    tokens: Mapping[str, str]
    busy: tuple[str, ...] = ()


class TokenPort(Protocol):
    """Security tokens. Cancelling the calling task cancels at the token where its transport can.

    Every method may raise any `TokenError`.
    """

    async def present(self) -> list[TokenInfo]:
        """List the tokens that are present now, without using up a PIN try or asking for a touch.

        One that another program holds for longer than a moment is left out; `recognise` names it.
        """

    async def enrol(self, token_id: str, *, user_verification: bool, ui: TokenUi) -> TokenCredential:
        """Make a credential for `names.RP_ID` with hmac-secret on the token (one touch)."""

    async def make_keys(
        self, token_id: str, algorithm: CurveName, *, keep: Sequence[TokenCredential], ui: TokenUi
    ) -> None:
        """Make new keys on a present card in place of all that it has, for the next `enrol` of it.

        The owner confirms first and then types the management key; until both are done and the card has taken
        the key, nothing on it changes. Raises `NotAllowed` for the card of one of ``keep``, `ManagementKeyWrong`,
        and `Unsupported` where ownerd makes no keys.
        """

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        """Return the first of ``credentials`` whose token is present, asking the token, without a touch.

        Raises `TokenMissing` when none is.
        """

    async def recognise(self, credentials: Sequence[TokenCredential]) -> Recognised:
        """Ask every present token which of ``credentials`` it has, without a touch; for none that is busy for long.

        Raises nothing for a single token's sake.
        """

    async def approve(
        self,
        credential: TokenCredential,
        challenge: bytes,
        handles: Sequence[SecretHandle],
        *,
        ui: TokenUi,
    ) -> TokenAnswer:
        """Sign ``challenge`` (32 bytes) and yield the secrets behind at most two ``handles``: one touch.

        RP ID hash, credential id, UP and UV flags, the signature and, where a handle has one, the key
        check value are verified before anything is returned. Raises `WrongKey` or `ProtocolBroken`.
        """

    async def change_pin(self, token_id: str, *, ui: TokenUi) -> None:
        """Change the PIN of a present token, or set its first one; each typed PIN is sent once.

        Keys and secrets of the token stay as they are. Raises `PinUnfit` for a new PIN that the token cannot
        have, before the old one is sent.
        """

    async def read_head(self, credential: TokenCredential) -> bytes | None:
        """Return the head that the token keeps, or None. Uses no touch and no PIN try.

        Raises `Unsupported` where the token keeps none, or does not tell without a touch.
        """

    async def write_head(
        self, credential: TokenCredential, note: bytes, expected: bytes | None, *, ui: TokenUi | None
    ) -> None:
        """Let the token keep ``note`` in the place of ``expected``, what `read_head` returned.

        Without ``ui`` nobody is asked for anything: `PinNeeded` where the token wants its PIN or a card its management
        key. Raises `Busy` when something else is there by now, `Unsupported` where the token keeps none.
        """


# -- prompts --


class PromptPort(Protocol):
    """The daemon's own prompts. One at a time; the core sees to that."""

    def can_prompt(self, terminal: Terminal | None) -> bool:
        """Whether a prompt can be shown on ``terminal``, or (None) on a display."""

    async def pin(
        self,
        terminal: Terminal | None,
        *,
        description: str,
        timeout_seconds: float,
        asks: Typed = "PIN",
    ) -> Secret:
        """Let the owner type a PIN, or what else ``asks`` names; not echoed.

        Raises `Dismissed`, `TimedOut`, `InvalidArgument` (out of bounds); cancelling closes the prompt.
        """

    async def confirm(
        self,
        terminal: Terminal | None,
        *,
        description: str,
        approve_label: str,
        refuse_label: str,
        timeout_seconds: float,
    ) -> bool:
        """Show ``description``; True when approved, False when refused. Raises `TimedOut`."""

    async def touch_wanted(self, token_name: str, reason: str) -> None:
        """Notify the desktop that a token waits for a touch. ``reason`` names no value. Never raises."""

    async def touch_done(self) -> None:
        """Withdraw that notification. Never raises."""


# -- storage --


class Record(Struct, frozen=True):
    """One sealed row of the vault: ``kind`` and ``id`` in clear, the rest under AEAD."""

    kind: str
    id: str
    generation: int
    sealed: bytes


class EntryRow(Struct, frozen=True):
    """One ledger entry to append: leaf bytes, its sealed opening unless it has none.

    ``checkpoint`` is the signed note over the tree up to it, where others follow in the same batch.
    """

    seq: int
    leaf: bytes
    wrapped_key: bytes | None = None
    ciphertext: bytes | None = None
    checkpoint: bytes | None = None


class Batch(Struct, frozen=True):
    """What one durable transaction writes. ``checkpoint`` is (tree size, signed note).

    ``erase`` are entries of before whose openings are destroyed; each has one.
    """

    entries: tuple[EntryRow, ...]
    checkpoint: tuple[int, bytes] | None = None
    put: tuple[Record, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    erase: tuple[int, ...] = ()


class StorePort(Protocol):
    """Vault and ledger in one database. Every method raises `StorageError` (or a child) and nothing else.

    Calls run on the store's own thread, in the order in which they were made.
    """

    async def exists(self) -> bool:
        """Whether a vault has been set up."""

    async def records(self, kind: str | None = None) -> list[Record]:
        """All records, or those of one kind, by (kind, id)."""

    async def leaves(self, start: int, count: int) -> list[bytes]:
        """Leaf bytes of entries ``start`` … in order; fewer at the end."""

    async def leaf_hashes(self) -> list[bytes]:
        """RFC 6962 leaf hashes of all entries in order (32 bytes each), hashed on the store's thread."""

    async def opening(self, seq: int) -> tuple[bytes, bytes] | None:
        """(wrapped key, ciphertext) of an entry's opening, or None."""

    async def openings(self, start: int, count: int) -> list[int]:
        """Which of the entries ``start`` … have an opening, ascending: the first ``count`` of them."""

    async def checkpoint(self) -> tuple[int, bytes] | None:
        """The newest (tree size, signed note)."""

    async def commit(self, batch: Batch) -> None:
        """Write all of ``batch`` in one transaction, durable on return, or nothing.

        The first entry's ``seq`` must be the current number of entries. Of what is replaced, deleted or erased
        no byte stays in the database's files, also after a crash, once the store was opened again; while
        another process reads them, once it has ended and something was committed. Cancelling the caller does
        not undo a commit under way.
        """

    async def close(self) -> None:
        """Finish what was asked and close."""


class HeadPort(Protocol):
    """Heads in files of the owner's choice. What lies there is judged by the core; nothing of it is trusted."""

    async def read(self, path: str) -> bytes | None:
        """Return what lies at ``path``; None where there is no file, or an empty one.

        Raises `StorageError` where nothing can be read: no such directory, no plain file, too slow, too large.
        """

    async def swap(self, path: str, note: bytes, expected: bytes | None) -> None:
        """Put ``note`` in the place of ``expected``, what `read` returned: whole or not at all, 0600.

        Raises `Busy` when something else is there by now, `StorageError` when it cannot be written.
        """


# -- backups --


class BackupHead(Struct, frozen=True):
    """Magic, length and header of a backup file, as they stand there, and how many bytes follow."""

    data: bytes
    rest: int


class BackupPort(Protocol):
    """Backup files where the owner wants them, and the database that one is opened into.

    Every method raises `StorageError` (or a child) and nothing else.
    """

    async def require_new(self, path: str) -> None:
        """Raise `UnsafeFile` unless a file can be made at ``path``: nothing there, in a directory of the owner."""

    async def write(self, path: str, seal: Callable[[int, Iterator[bytes]], Iterator[bytes]]) -> int:
        """Write what ``seal`` makes of a snapshot (its length, its bytes in chunks); returns the file's length.

        The file appears whole, or not at all.
        """

    async def read_head(self, path: str) -> BackupHead:
        """Read the beginning of a regular file. Raises `BackupDamaged`."""

    async def stage(self, path: str, unseal: Callable[[Iterator[bytes]], Iterator[bytes]]) -> StorePort:
        """Open the chunks of ``path`` into a database beside the vault's, and return the store of it."""

    async def occupied(self) -> bool:
        """Whether there is a database already, be it damaged."""

    async def adopt(self) -> None:
        """Put the staged database, which is closed, in the vault's place, in one step; keep what was there aside."""

    async def discard(self) -> None:
        """Remove what was staged. Never raises."""


# -- one asked-for act, as the bus carries it --


class Job(Struct):
    """The thread of one call: where its progress goes, and the terminal its caller lends."""

    progress: Callable[[Progress, dict[str, str | int]], None]
    terminal: Terminal | None = None
