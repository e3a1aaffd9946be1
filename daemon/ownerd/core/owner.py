"""The owner's own acts: read and change, sealed both ways, each with a touch and an entry (DESIGN section 6).

A message is compact JWE to the daemon's key of this start; its plaintext names the tool's key, to which the
answer is sealed and which the statement names, so that a touch answers one tool and no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct

from ownerd.core import anchor_list, erasing, grants, policy_acts, provider_acts
from ownerd.core.desk import Act
from ownerd.core.entry_reads import ApprovedRead, read_page
from ownerd.core.opening_reads import OpeningRead, parse_opening_read, read_opening, require_labels
from ownerd.core.records import read_entries
from ownerd.core.session import Session
from ownerd.core.statement import Statement, change_statement, read_statement, statement_values
from ownerd.core.vault import Vault
from ownerd.credential.jwe import JwePrivateKey, open_jwe, require_p256_public, seal_jwe, thumbprint
from ownerd.model.canonical import format_canonical
from ownerd.model.claim import MAX_VALUE_BYTES, Claim, require_claim_name
from ownerd.model.clock import format_time
from ownerd.model.derived import is_birthdate
from ownerd.model.encoding import Json, parse_json_object
from ownerd.model.errors import InvalidArgument, NotFound
from ownerd.model.names import Kind, Progress

MAX_CLAIMS: Final = 64
_MAX_SOURCE: Final = 60


class ToolMessage(Struct, frozen=True):
    """An opened message: its members, and the tool's public key with its RFC 7638 thumbprint."""

    members: dict[str, Json]
    key: dict[str, Json]
    tool: str

    def answer(self, value: dict[str, Json]) -> str:
        """Seal an answer to the tool."""
        return seal_jwe(format_canonical(value), self.key)


def open_message(sealed: str, key: JwePrivateKey, names: frozenset[str]) -> ToolMessage:
    """Open a message whose members must be ``v``, ``key`` and some of ``names``. Raises `InvalidArgument`."""
    members = parse_json_object(open_jwe(sealed, key))
    if members.get("v") != 1 or not isinstance(members.get("key"), dict):
        raise InvalidArgument("the sealed message has no version or no key")
    unknown = members.keys() - names - {"v", "key"}
    if unknown:
        raise InvalidArgument("the sealed message has unknown members")
    public = require_p256_public(members["key"])
    return ToolMessage(members, public, thumbprint(public))


# -- reading --


async def show_values(session: Session, act: Act) -> None:
    """Let prompts show values on the terminal that the caller lends, after a touch."""
    statement = read_statement(act.caller, "", "prompts", [])
    await _approved(session, act, Kind.OWNER_READ, lambda _shown: statement, "Allow")
    session.desk.show_values(act.job.terminal)


async def read(session: Session, act: Act, message: ToolMessage) -> str:
    """Answer a read after a touch. Raises `NotFound`, `InvalidArgument` before anybody is asked."""
    vault = session.require_vault()
    if message.members.get("what") == "entries":
        return message.answer(await _entries(session, act, message, vault))
    if message.members.get("what") == "opening":
        await require_labels(session.store, _opening(session, message.members))
    what, detail, answer = _question(session, vault, message.members)
    statement = read_statement(act.caller, message.tool, what, detail)
    await _approved(session, act, Kind.OWNER_READ, lambda _shown: statement, "Show")
    return message.answer(await answer(session, vault))


async def _entries(session: Session, act: Act, message: ToolMessage, vault: Vault) -> dict[str, Json]:
    """The first page of a range after a touch, or another page of a range that was approved."""
    members, reads, bus_name = message.members, session.entry_reads, act.caller.bus_name
    values = members.get("values", True)
    if type(values) is not bool:
        raise InvalidArgument("whether values are read is neither true nor false")
    if "approved" in members:
        approved = reads.require(members["approved"], message.tool, bus_name, session.clock.passed_ms())
        start = _number(members.get("start"))
    else:
        start, count = _range(session, members)
        statement = read_statement(act.caller, message.tool, "entries", [f"{start} to {start + count - 1}"])
        entry = await _approved(session, act, Kind.OWNER_READ, lambda _shown: statement, "Show")
        approved = ApprovedRead(entry, message.tool, bus_name, start, start + count)
        reads.allow(approved, session.clock.passed_ms())
    page = await read_page(session.store, vault, approved, start, values=values)
    return {**page, "log": session.require_journal().origin.partition("/")[2]}


_Answer = Callable[[Session, Vault], Awaitable[dict[str, Json]]]


def _question(
    session: Session, vault: Vault, members: dict[str, Json]
) -> tuple[str, list[str | int], _Answer]:
    what = members.get("what")
    match what:
        case "claims":
            names = _names(members.get("names"), vault)
            return what, [*names], lambda _s, v: _claims(v, names)
        case "providers":
            return what, [], _soon(lambda s, v: provider_acts.listing(s, v, None))
        case "provider":
            wanted = provider_acts.require_provider(vault, members.get("id")).id
            # The id that the tool gave, not the name: nobody has touched for names yet.
            return what, [wanted], _soon(lambda s, v: provider_acts.listing(s, v, wanted))
        case "policy":
            return what, [], _soon(lambda _s, v: {"policy": v.policy.text})
        case "grants":
            return what, [], _soon(grants.listing)
        case "anchors":
            return what, [], anchor_list.listing
        case "explain":
            said = policy_acts.explained(session, vault, members.get("request"))
            return what, [], _soon(lambda _s, _v: said)
        case "erasable":
            chosen = erasing.parse_selection(members)
            about: list[str | int] = [f"{name} {text}" for name, text in chosen.members().items()]
            return what, about, lambda s, v: erasing.listing(s, v, chosen)
        case "opening":
            asked = _opening(session, members)
            return what, asked.detail, lambda s, v: read_opening(s.store, v.opening_keys(), asked)
        case "entry":
            seq, _ = _range(session, {"start": members.get("seq"), "count": 1})
            return what, [seq], lambda s, v: read_entries(s.store, v.opening_keys(), seq, 1)
        case _:
            raise InvalidArgument("the read names nothing that can be read")


def _names(asked: Json, vault: Vault) -> list[str]:
    if asked is None:
        return sorted(vault.claims)
    if not isinstance(asked, list) or not asked or len(asked) > MAX_CLAIMS:
        raise InvalidArgument("names are not a list")
    for name in asked:
        if not isinstance(name, str):
            raise InvalidArgument("a name is not text")
        require_claim_name(name)
        if name not in vault.claims:
            raise NotFound(f"no {name} in the vault")
    return list(dict.fromkeys(asked))


def _range(session: Session, members: dict[str, Json]) -> tuple[int, int]:
    start, count = _number(members.get("start")), _number(members.get("count"))
    size = session.require_journal().size
    if start >= size:
        raise NotFound("no such entry")
    return start, max(1, min(count, size - start))


def _opening(session: Session, members: dict[str, Json]) -> OpeningRead:
    seq, _ = _range(session, {"start": members.get("seq"), "count": 1})
    return parse_opening_read(seq, members.get("names"))


def _number(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidArgument("entry numbers are not numbers")
    return value


async def _claims(vault: Vault, names: list[str]) -> dict[str, Json]:
    return {
        "claims": [
            {
                "name": claim.name,
                "value": claim.value,
                "source": claim.source,
                "changed": claim.changed,
                "version": claim.version,
            }
            for claim in (vault.claims[name] for name in names)
        ]
    }


def _soon(answer: Callable[[Session, Vault], dict[str, Json]]) -> _Answer:
    """An answer that needs no waiting."""

    async def now(session: Session, vault: Vault) -> dict[str, Json]:
        return answer(session, vault)

    return now


# -- changing --


async def change(session: Session, act: Act, message: ToolMessage) -> str:
    """Set or remove claims after a touch on the values. Raises as `read`."""
    vault = session.require_vault()
    match message.members.get("change"):
        case "set":
            claims = _new_claims(message.members.get("claims"), vault, session)
        case "remove":
            if message.members.get("names") is None:
                raise InvalidArgument("names are missing")
            claims = [vault.claims[name] for name in _names(message.members["names"], vault)]
        case _:
            raise InvalidArgument("the change is neither set nor remove")
    word = str(message.members["change"])
    replaced = [claim.name for claim in claims if claim.name in vault.claims and word == "set"]
    shown = [(claim.name, claim.value) for claim in claims]

    def describe(values_shown: bool) -> Statement:  # noqa: FBT001 -- the desk calls it
        return change_statement(act.caller, message.tool, word, shown, replaced, values_shown=values_shown)

    entry = await _approved(session, act, Kind.OWNER_CHANGE, describe, "Change", claims)
    return message.answer({"entry": entry, "claims": [claim.name for claim in claims]})


def _new_claims(given: Json, vault: Vault, session: Session) -> list[Claim]:
    if not isinstance(given, list) or not given or len(given) > MAX_CLAIMS:
        raise InvalidArgument("claims are not a list, none or too many")
    now = format_time(session.require_journal().now_ms())
    claims: dict[str, Claim] = {}
    for one in given:
        if not isinstance(one, dict) or one.keys() != {"name", "value", "source"}:
            raise InvalidArgument("a claim has other members than name, value and source")
        name, value, source = one["name"], one["value"], one["source"]
        if not isinstance(name, str) or not isinstance(source, str) or len(source) > _MAX_SOURCE:
            raise InvalidArgument("a claim's name or source is not a short text")
        require_claim_name(name)
        if name in claims:
            raise InvalidArgument("a claim stands there twice")
        if not isinstance(value, str) or not value or len(value.encode()) > MAX_VALUE_BYTES:
            raise InvalidArgument("a claim's value is not text, empty or too long")
        if name == "birthdate" and not is_birthdate(value):
            raise InvalidArgument("birthdate is not a date like 1815-12-10, or a year")
        old = vault.claims.get(name)
        claims[name] = Claim(name, value, source, now, old.version + 1 if old else 1)
    return list(claims.values())


# -- both --


async def _approved(
    session: Session,
    act: Act,
    kind: Kind,
    describe: Callable[[bool], Statement],
    verb: str,
    claims: Sequence[Claim] = (),
) -> int:
    """Prompt, touch, record; ``claims`` are written or removed as the statement says."""
    journal, vault = session.require_journal(), session.require_vault()
    async with session.desk.turn(act):
        session.require_same(vault)
        statement = await session.agree_as_shown(act, describe, verb)
        token = await session.locate(act, vault.enrolled)
        values = statement_values(statement, act.caller)
        for index, claim in enumerate(claims):
            values[f"claim/{index}"] = {"name": claim.name, "value": claim.value, "version": claim.version}
        draft = journal.draft(kind, values)
        answer = await session.touch(act, token, draft.challenge, [])
        act.report(Progress.RECORDING)
        removing = statement.get("change") == "remove"
        put = [] if removing else [vault.claim_record(claim) for claim in claims]
        delete = [vault.claim_key(claim.name) for claim in claims] if removing else []
        return await journal.append(
            draft, approval=answer.approval, put=put, delete=delete, apply=vault.apply
        )
