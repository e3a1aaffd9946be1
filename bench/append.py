"""Row 1: one entry made durable, against one bare commit of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.rigs.core import APP

from bench.floors import BareDatabase
from bench.measure import Row, Scale, medians, timed, timed_async
from bench.rig import Bench, Provider, bench
from ownerd.model.names import Kind

AGAINST = "one bare SQLite commit of the same rows (WAL, synchronous=FULL)"


def rows(scale: Scale) -> Iterator[Row]:
    """Append a small entry, and one as large as a disclosure."""
    provider = Provider()
    with bench(provider=provider) as made:
        journal = made.core.session.require_journal()
        large = _disclosure_parts(made, provider)

        async def small() -> None:
            await journal.append(journal.draft(Kind.DELIVERED, {}, {"entry": 3}))

        async def disclosure() -> None:
            values, more = large
            await journal.append(journal.draft(Kind.DISCLOSURE, values), **more)

        for name, what, work in (
            ("append-small", "append a `delivered` entry", small),
            ("append-disclosure", "append an entry as large as a disclosure's", disclosure),
        ):
            found = _compare(made, name, work, scale.rounds(60))
            size = float(sum(len(row.leaf) + len(row.ciphertext or b"") for row in made.store.last.entries))
            yield Row(name, what, AGAINST, found["ours"], found["floor"], more={"bytes": size})


def _compare(made: Bench, name: str, work: Callable[[], Any], rounds: int) -> dict[str, float]:
    floor = BareDatabase(made.directory / f"{name}.db")
    try:
        return medians(
            {
                "ours": lambda: made.run(timed_async(work)),
                "floor": lambda: timed(lambda: floor.commit(made.store.last)),
            },
            rounds,
        )
    finally:
        floor.close()


def _disclosure_parts(made: Bench, provider: Provider) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values, approval and outcome of a real disclosure, so that sizes are true."""
    journal, seen = made.core.session.require_journal(), []
    real = journal.append

    async def spy(draft: Any, **more: Any) -> int:
        seen.append((draft, more))
        return await real(draft, **more)

    journal.append = spy  # type: ignore[method-assign]
    try:
        made.run(made.core.agent.present(APP, provider.unsigned(), made.core.job()))
    finally:
        journal.append = real  # type: ignore[method-assign]
    draft, more = seen[-1]
    return {label: one.value for label, one in draft.values.items()}, {**more, "put": ()}
