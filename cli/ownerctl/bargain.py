"""An app's side of a negotiation: a request, and the counter-offers that it may be answered with.

A negotiation belongs to one connection, so all its rounds pass through one event loop. Questions are asked between
two runs of the loop: Ctrl-C at a question then ends the command at once.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ownerctl import render
from ownerctl.errors import BadAnswer, NotAccepted
from ownerctl.owner import Owner, owner
from ownerd.model.encoding import parse_json_object
from ownerd.model.errors import InvalidArgument, OwnerdError

if TYPE_CHECKING:
    from ownerctl.client import Option
    from ownerctl.options import Output
    from ownerd.model.encoding import Json

_MAX_ROUNDS = 5
_MAX_OFFER_BYTES = 1 << 18
_ODD = "the daemon's counter-offer is not of its form"
_END = "ownerctl request --accept takes whatever is offered"


class Wishes(Struct, frozen=True):
    """What the command line says beside the request; ``accepts`` takes every counter-offer unseen."""

    negotiates: bool = False
    accepts: bool = False
    asks: bool = False

    def options(self) -> dict[str, Option]:
        """The options of ``Present`` that say so."""
        negotiate = self.negotiates or self.accepts
        return {**({"negotiate": True} if negotiate else {}), **({"ask": True} if self.asks else {})}


class Counter(Struct, frozen=True):
    """A counter-offer as it came, its document parsed."""

    negotiation: str
    entry: Json
    offer: dict[str, Json]


def bargain(request: str, wishes: Wishes, output: Output) -> dict[str, Any]:
    """Present ``request`` until it is answered; returns the results of the answer.

    Raises `NotAccepted` once a counter-offer was shown and not taken, and what the daemon names.
    """
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        talk = runner.run(stack.enter_async_context(owner(output)))
        try:
            options = wishes.options()
            for _ in range(_MAX_ROUNDS + 1):
                results = runner.run(_present(talk, request, options))
                if "offer" not in results:
                    return results
                counter = read_counter(results)
                _agree(runner, talk, counter, wishes, output)
                options = {**wishes.options(), "negotiation": counter.negotiation, "accept": True}
            raise BadAnswer("the daemon offers something else without end")
        finally:
            runner.run(stack.aclose())


async def _present(talk: Owner, request: str, options: dict[str, Option]) -> dict[str, Any]:
    async with talk.progress() as line:
        return await talk.client.present(request, {**talk.terminal, **options}, line)


def read_counter(results: dict[str, Any]) -> Counter:
    """Read the results of a Response of code 3. Raises `BadAnswer`."""
    negotiation, text = results.get("negotiation"), results.get("offer")
    if not isinstance(negotiation, str) or not isinstance(text, str):
        raise BadAnswer("the daemon's counter-offer names no negotiation or offers nothing")
    try:
        offer = parse_json_object(text, max_bytes=_MAX_OFFER_BYTES)
    except InvalidArgument as error:
        raise BadAnswer("the daemon's counter-offer is not JSON") from error
    return Counter(negotiation, results.get("entry"), offer)


def _agree(runner: asyncio.Runner, talk: Owner, counter: Counter, wishes: Wishes, output: Output) -> None:
    """Return once the offer is accepted; else end the negotiation and raise."""
    accepted = False
    try:
        accepted = wishes.accepts or _asked(counter, output)
    finally:
        if not accepted:
            with suppress(OwnerdError):  # it ends by itself too, and the first trouble is the one to tell
                runner.run(talk.client.end_negotiation(counter.negotiation))
    if wishes.accepts and not output.json:
        render.note(f"accepted what the owner offers instead (entry {counter.entry})")
    if not accepted:
        raise NotAccepted("the owner offers something else than was asked", hint=_END)


def _asked(counter: Counter, output: Output) -> bool:
    from ownerctl.questions import agree
    from ownerctl.terminal import is_interactive

    if output.json:
        render.emit_json({"entry": counter.entry, "offer": counter.offer})
        return False
    show_counter(counter)
    return is_interactive() and agree("accept this?", default=False)


def show_counter(counter: Counter) -> None:
    """Say what would go instead of what, and under which terms. There is no value in it."""
    offer = counter.offer
    render.note(f"the owner offers something else (round {offer.get('round')}, entry {counter.entry}):")
    rows: list[tuple[str, str]] = []
    for credential in _rows(offer.get("credentials")):
        rows += [_claim_row(claim) for claim in _rows(credential.get("claims"))]
    words = {"refused": "refused", "withheld": "held back", "later": "later: ask again when it is needed"}
    for member, word in words.items():
        rows += [(_name(path), word) for path in _list(offer.get(member, []))]
    render.emit_table(rows, ("claim", "what becomes of it"))
    terms = offer.get("terms")
    if isinstance(terms, dict):
        render.emit_line("\nunder these terms:", lines=True)
        render.emit_table(_term_rows(terms))


def _rows(value: Json) -> list[dict[str, Json]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise BadAnswer(_ODD)
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise BadAnswer(_ODD)
    return value


def _name(path: Json) -> str:
    return ".".join(str(step) for step in path) if isinstance(path, list) else str(path)


def _claim_row(claim: dict[str, Json]) -> tuple[str, str]:
    instead_of = claim.get("instead_of")
    return _name(
        claim.get("path")
    ), "as asked" if instead_of is None else f"goes instead of {_name(instead_of)}"


def _term_rows(terms: dict[str, Json]) -> list[tuple[str, object]]:
    from ownerd.model.terms import PURPOSES

    purposes = [str(one) for one in _list(terms.get("purpose", []))]
    recipients = [str(one) for one in _list(terms.get("recipients", []))]
    days = terms.get("retention_days")
    rows: list[tuple[str, object]] = [
        ("purpose", ", ".join(PURPOSES.get(one, one) for one in purposes)),
        ("kept", "without limit" if days is None else "not at all" if days == 0 else f"{days} days at most"),
        ("passed on", "to " + ", ".join(recipients) if recipients else "to nobody"),
    ]
    if terms.get("agreement") is not None:
        rows.append(("agreement", terms["agreement"]))
    return [row for row in rows if row[1]]
