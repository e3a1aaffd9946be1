"""The face of the core towards the bus: use cases, one method each.

`ownerd.core.agent.Agent` implements it; bus tests use a fake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from ownerd.core.ports import Job
    from ownerd.model.caller import Caller, Terminal
    from ownerd.model.policy import GrantLimits
    from ownerd.model.token import TokenInfo


class Released(Struct, frozen=True):
    """What leaves: the compact JWE for the provider, and the ledger entry that records it."""

    response: str
    entry: int


class Wishes(Struct, frozen=True):
    """What an app says beside its request.

    ``negotiate``: it understands counter-offers. ``negotiation``: the one it goes on with. ``accept``: it takes the
    last counter-offer of that one, for the same request. ``ask``: the owner is to be asked in any case, so that no
    grant serves (what a web page hands over).
    """

    negotiate: bool = False
    negotiation: str | None = None
    accept: bool = False
    ask: bool = False


NO_WISHES: Final = Wishes()


class CounterOffer(Struct, frozen=True):
    """An answer without data: ``offer`` is JSON text that names claims and terms and holds no value."""

    negotiation: str
    offer: str
    entry: int


class Narrowing(Struct, frozen=True):
    """What the owner changes about a waiting request from elsewhere, before its prompt is shown anew.

    ``without``: claims held back. ``retention_days``: a shorter time. ``grant``: let the provider repeat this.
    """

    without: frozenset[str] = frozenset()
    retention_days: int | None = None
    grant: GrantLimits | None = None


class Status(Struct, frozen=True):
    """What anyone on the bus may know: no value, no provider name."""

    set_up: bool
    unlocked: bool
    claims: int
    providers: int
    tokens: int
    entries: int
    pending: int
    recovery: bool


class Pending(Struct, frozen=True):
    """A request that waits. ``id`` is short and typed by people; names no provider and no value."""

    id: str
    kind: str
    app: str
    confidence: str
    state: str
    since: str


class AgentService(Protocol):
    """Use cases. Errors are from `ownerd.model.errors`; anything else is a bug that the bus hides."""

    def session_key(self) -> str:
        """Public JWK (JSON text) of this start of the daemon, which callers seal to."""

    def status(self) -> Status:
        """Counts and states."""

    async def present(
        self, caller: Caller, request: str, job: Job, wishes: Wishes = NO_WISHES
    ) -> Released | CounterOffer:
        """Steps 3 to 10 of a disclosure (DESIGN section 4), or a counter-offer."""

    async def end_negotiation(self, caller: Caller, negotiation: str) -> None:
        """End a negotiation of the caller's. Raises `NotFound`."""

    async def receive(self, caller: Caller, sealed: str, job: Job) -> int:
        """Record what a provider returned, sealed to our key; returns the entry."""

    async def delivered(self, released: Released) -> None:
        """Step 11: record that the response was handed to the bus."""

    async def setup(self, caller: Caller, sealed: str, job: Job) -> str:
        """Make the vault and enrol the first token; returns JWE of ``{"verifier_key": …}`` for the tool."""

    async def unlock(self, caller: Caller, job: Job) -> None:
        """Open the vault with a touch."""

    def lock(self, reason: str) -> None:
        """Ask the process to record the lock and end."""

    async def tokens(self) -> list[TokenInfo]:
        """Tokens that are present."""

    async def change_pin(self, caller: Caller, token_id: str, job: Job) -> None:
        """Change the PIN of a present token, or set its first one; PINs are typed in our own prompts."""

    async def read(self, caller: Caller, sealed: str, job: Job) -> str:
        """Owner's read: sealed query in, JWE to the tool's key out; needs a touch, becomes an entry."""

    async def change(self, caller: Caller, sealed: str, job: Job) -> str:
        """Owner's change: sealed change in, JWE of the outcome out; needs a touch, becomes an entry."""

    async def recover(self, caller: Caller, sealed: str, job: Job) -> str:
        """Enrol a token with the recovery code; locks afterwards."""

    def pending(self) -> Sequence[Pending]:
        """Requests that wait."""

    def approve(
        self, caller: Caller, pending_id: str, terminal: Terminal | None, narrowing: Narrowing
    ) -> None:
        """Show the prompt of a waiting request on ``terminal`` now, changed as ``narrowing`` says."""

    def outcome(self, caller: Caller, pending_id: str) -> str:
        """How a request that ``caller`` approved ended: "done", or the name of its error. Raises `NotFound`."""

    def refuse(self, pending_id: str, *, today: bool = False) -> None:
        """Refuse a waiting request; with ``today`` also what its app asks until midnight."""

    def watch(self, terminal: Terminal | None) -> None:
        """Lend ``terminal`` to prompts from now on, without values; None ends it."""

    async def show_values(self, caller: Caller, job: Job) -> None:
        """Show values in prompts on the terminal that is lent, ``job.terminal``; needs a touch."""
