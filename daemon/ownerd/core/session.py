"""What all use cases share: the ports, the journal, and the vault while it is open.

Owns the state "set up / locked / unlocked" and the one way to use a token for an act.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from ownerd.core import card_keys
from ownerd.core import keyslot as keyslots
from ownerd.core.counts import Receipts, Uses
from ownerd.core.entry_reads import EntryReads
from ownerd.core.keyslot import Enrolled, Keyslot
from ownerd.model.errors import Busy, Locked, NotSetUp, TokenMissing
from ownerd.model.names import Progress

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from ownerd.core.anchoring import Kept
    from ownerd.core.bargaining import Negotiations
    from ownerd.core.budget import Budget
    from ownerd.core.desk import Act, Desk
    from ownerd.core.journal import Journal
    from ownerd.core.ports import BackupPort, Clock, HeadPort, Rng, StorePort, TokenPort
    from ownerd.core.service import Narrowing
    from ownerd.core.statement import Statement
    from ownerd.core.vault import Vault
    from ownerd.credential.attestation import Attester
    from ownerd.model.secret import Secret
    from ownerd.model.token import SecretHandle, TokenAnswer, TokenCredential, TokenInfo

E = TypeVar("E", bound=Enrolled)

TOKEN_SECONDS: Final = 60.0
CLOCK_SLACK_MS: Final = 60_000
POLL_SECONDS: Final = 0.5


class Session(Struct):
    """One start of the daemon.

    ``anchors`` and ``attesters`` are whom the owner lets vouch for providers. ``unlocked_by`` is None until a token has
    opened the vault. ``kept`` is what was found where heads are kept, and ``renewing`` writes newer ones there.
    """

    store: StorePort
    tokens: TokenPort
    desk: Desk
    clock: Clock
    rng: Rng
    anchors: Callable[[], Sequence[Certificate]]
    negotiations: Negotiations
    budget: Budget
    heads: HeadPort
    attesters: Callable[[], Sequence[Attester]] = tuple
    token_seconds: float = TOKEN_SECONDS
    backups: BackupPort | None = None
    journal: Journal | None = None
    vault: Vault | None = None
    unlocked_by: TokenCredential | None = None
    unlocked: asyncio.Event = field(default_factory=asyncio.Event)
    kept: dict[str, Kept] = field(default_factory=dict)
    renewing: asyncio.Future[None] | None = None
    uses: Uses = field(default_factory=Uses)
    receipts: Receipts = field(default_factory=Receipts)
    entry_reads: EntryReads = field(default_factory=EntryReads)

    def require_journal(self) -> Journal:
        """Return the journal. Raises `NotSetUp`."""
        if self.journal is None:
            raise NotSetUp("there is no vault yet")
        return self.journal

    def require_vault(self) -> Vault:
        """Return the open vault. Raises `Locked`, `NotSetUp`."""
        self.require_journal()
        if self.vault is None:
            raise Locked("the vault is locked")
        return self.vault

    @property
    def clock_is_behind(self) -> bool:
        """Whether the clock stands before the newest entry: it is behind now, or was ahead once (decisions/0019)."""
        return self.require_journal().now_ms() > self.clock.now_ms() + CLOCK_SLACK_MS

    async def confirm(self, act: Act, text: Callable[[Narrowing, bool], str], verb: str = "Approve") -> None:
        """`Desk.confirm`, for acts that looked into the vault before: another act may have gone first meanwhile.

        Raises as that does, and `Busy` when the keys were renewed since.
        """
        before = self.vault
        await self.desk.confirm(act, text, verb)
        if before is not None:
            self.require_same(before)

    async def agree(self, act: Act, statement: Statement, verb: str) -> None:
        """Show a statement until the owner decides. Raises as `confirm`."""
        await self.agree_as_shown(act, lambda _values_shown: statement, verb)

    async def agree_as_shown(self, act: Act, describe: Callable[[bool], Statement], verb: str) -> Statement:
        """`agree`, where the text depends on whether the prompt may show values; returns the statement last shown."""
        statements: list[Statement] = []

        def text(_narrowing: Narrowing, values_shown: bool) -> str:  # noqa: FBT001 -- the desk calls it
            statements.append(describe(values_shown))
            return str(statements[-1]["rendered"]["text"])

        await self.confirm(act, text, verb)
        return statements[-1]

    def require_same(self, vault: Vault) -> None:
        """Raise `Busy` when the keys were renewed since ``vault`` was looked at: what was found in it is stale."""
        if self.vault is not vault:
            raise Busy("the vault's keys were renewed meanwhile; ask again")

    async def keyslots(self) -> dict[str, Keyslot]:
        """Enrolled tokens that open, by id, locked or not."""
        records = await self.store.records(keyslots.KIND)
        return {record.id: keyslots.parse_keyslot(record) for record in records}

    async def locate(self, act: Act, enrolled: Mapping[str, E]) -> E:
        """Find the first of ``enrolled`` that is present, waiting a while for one. Raises `TokenMissing`."""
        credentials = [token.credential for token in enrolled.values()]
        deadline = asyncio.get_running_loop().time() + self.token_seconds
        told = False
        while True:
            try:
                return enrolled[(await self.tokens.locate(credentials)).id]
            except TokenMissing:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            if not told:
                act.report(Progress.WAITING_FOR_TOKEN, timeout_seconds=int(self.token_seconds))
                told = True
            await asyncio.sleep(POLL_SECONDS)

    async def touch(
        self, act: Act, token: Enrolled, challenge: bytes, handles: Sequence[SecretHandle]
    ) -> TokenAnswer:
        """One touch: sign ``challenge`` and yield the secrets behind ``handles``."""
        async with self.desk.touch(act) as needed:
            ui = DeskUi(self.desk, act, needed, token.credential.name)
            return await self.tokens.approve(token.credential, challenge, handles, ui=ui)


class DeskUi(Struct, frozen=True):
    """`TokenUi` of one act. ``name`` is what the owner calls an enrolled token, else the token's own is used."""

    desk: Desk
    act: Act
    needed: Callable[[TokenInfo, float], None]
    name: str = ""

    async def pin(self, token: TokenInfo) -> Secret:
        """Ask at the act's terminal."""
        return await self.desk.pin(self.act, self._named(token))

    async def new_pin(self, token: TokenInfo) -> Secret:
        """Ask twice at the act's terminal."""
        return await self.desk.new_pin(self.act, token)

    async def confirm_new_keys(self, token: TokenInfo, shown: Sequence[str]) -> None:
        """Ask at the act's terminal."""
        await card_keys.confirm_new_keys(self.desk, self.act, token, shown)

    async def management_key(self, token: TokenInfo) -> Secret:
        """Ask at the act's terminal."""
        return await card_keys.ask_management_key(self.desk, self.act, token)

    def touch_needed(self, token: TokenInfo, timeout_seconds: float) -> None:
        """Tell the caller and the desktop."""
        self.needed(self._named(token), timeout_seconds)

    def _named(self, token: TokenInfo) -> TokenInfo:
        return replace(token, name=self.name) if self.name else token
