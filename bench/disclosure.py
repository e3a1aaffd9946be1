"""Row 2: one disclosure with a token that answers at once, against its bare cryptography and one bare commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.rigs.core import APP

from bench.floors import BareDatabase, BareSignatures
from bench.measure import Row, Scale, medians, timed, timed_async
from bench.rig import Bench, Provider, bench

AGAINST = "3 ES256 (one is the token's), 1 Ed25519, 1 HPKE, 1 JWE and one bare commit of the same rows"
PRESENTATION_BYTES = 2000


def rows(scale: Scale) -> Iterator[Row]:
    """A known provider, and an unsigned request with its one-time key."""
    provider = Provider()
    for name, what, request in (
        ("disclosure-known", "disclose three claims to a known, certified provider", provider.signed),
        ("disclosure-claimed", "disclose three claims to an unsigned request", provider.unsigned),
    ):
        # A vault each: to one that knows the provider, a request that proves less is refused.
        with bench(provider=provider) as made:
            found = _compare(made, name, request, scale.rounds(60))
            yield Row(name, what, AGAINST, found["ours"], found["floor"], more={"crypto": found["crypto"]})


def _compare(made: Bench, name: str, request: Callable[[], str], rounds: int) -> dict[str, float]:
    database, signatures = BareDatabase(made.directory / f"{name}.db"), BareSignatures()
    agent, core = made.core.agent, made.core

    def ours() -> float:
        text = request()
        return float(made.run(timed_async(lambda: agent.present(APP, text, core.job()))))

    def floor() -> float:
        return timed(
            lambda: (signatures.disclosure(bytes(PRESENTATION_BYTES)), database.commit(made.store.last))
        )

    def crypto() -> float:
        return timed(lambda: signatures.disclosure(bytes(PRESENTATION_BYTES)))

    try:
        return medians({"ours": ours, "floor": floor, "crypto": crypto}, rounds)
    finally:
        database.close()
