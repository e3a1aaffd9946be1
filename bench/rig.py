"""The agent to be measured: the core on the real store, with tokens that answer at once (`tests.rigs.core`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from demo import provider_kit as kit
from tests.rigs.core import APP, CoreRig, FakeToken, MemoryNotebook, make_core, seal, set_up

from ownerd.core.budget import Budget
from ownerd.core.ports import Batch
from ownerd.storage.store import SqliteStore

OWNER: Final = {"given_name": "Ada", "email": "ada@example.org", "address__locality": "Wien"}
ASKED: Final = ("given_name", "email", "address.locality")
HOST: Final = "shop.example"
RESPONSE_URI: Final = f"https://{HOST}/answer"


class RecordingStore(SqliteStore):
    """The real store, which remembers what was last committed, for the floor to commit the same."""

    last: Batch = Batch(())

    async def commit(self, batch: Batch) -> None:
        """Commit and remember."""
        self.last = batch
        await super().commit(batch)


# A provider that may get all of it again without a touch.
GRANT: Final = f"""version = 1
[[rule]]
provider = "{HOST}"
claims = {list(ASKED)!r}
do = "grant"
days = 1
count = 100000
per_hour = 3600
"""


@dataclass
class Provider:
    """An app's side: requests that are each new, signed (a known provider) or not (a one-time key)."""

    ca: kit.Party = field(default_factory=lambda: kit.make_ca("Bench CA"))
    key: Any = field(default_factory=kit.new_encryption_key)

    def __post_init__(self) -> None:
        self._party = kit.make_provider(self.ca, HOST)

    def signed(self) -> str:
        """A request object with its certificate chain."""
        asked = kit.parameters(f"x509_san_dns:{HOST}", RESPONSE_URI, ASKED, self.key)
        return kit.signed_request(asked, self._party)

    def unsigned(self) -> str:
        """A request that proves nothing."""
        return kit.unsigned_request(
            kit.parameters(f"redirect_uri:{RESPONSE_URI}", RESPONSE_URI, ASKED, self.key)
        )


@dataclass
class Bench:
    """One set-up and unlocked agent; ``run`` does work on its loop."""

    core: CoreRig
    store: RecordingStore
    runner: asyncio.Runner
    directory: Path

    def run(self, work: Any) -> Any:
        """Run a coroutine to its end."""
        return self.runner.run(work)


def unlimited(core: CoreRig) -> None:
    """Take away the budget that keeps apps from disturbing the owner: here is nobody to disturb."""
    core.session.budget = Budget(core.clock, MemoryNotebook(), per_minute=1 << 30)


async def allow_repeats(core: CoreRig) -> None:
    """Put the policy in force under which the first disclosure makes a grant."""
    await core.agent.change(APP, seal(core, change="policy", text=GRANT), core.job())


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory of our own on the disk that temporary files have."""
    with TemporaryDirectory(prefix="ownerd-bench-") as made:
        yield Path(made)


@contextmanager
def bench(*tokens: FakeToken, provider: Provider | None = None) -> Iterator[Bench]:
    """A set-up agent in a directory of its own."""
    with scratch() as directory, asyncio.Runner() as runner:
        store = RecordingStore.open(directory / "data" / "ownerd.db")
        anchors = [provider.ca.certificate] if provider else []
        made = Bench(make_core(store, *tokens, anchors=anchors), store, runner, directory)
        unlimited(made.core)
        made.run(set_up(made.core, **OWNER))
        try:
            yield made
        finally:
            made.run(store.close())
