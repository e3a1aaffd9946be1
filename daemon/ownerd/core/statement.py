"""Statements: the canonical description of one act that a touch approves (DESIGN section 4, step 7).

A statement is a JSON object. What a prompt shows is `ownerd.core.render.render` of the statement, and is
in it, with the renderer's version; the statement's salted commitment is in the leaf core that the touch
signs. So what was shown is what was signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from ownerd.core.known import provider_value
from ownerd.core.render import RENDER_VERSION, render
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.names import Kind

if TYPE_CHECKING:
    from ownerd.model.caller import Caller
    from ownerd.model.offer import Offer, OfferedClaim
    from ownerd.model.request import Request

Statement = dict[str, Json]


class Situation(Struct, frozen=True):
    """What a statement about a request says beside the offer: who carried it, and what is new or odd about it."""

    caller: Caller
    new_provider: bool
    new_anchor: bool
    alarms: tuple[str, ...] = ()
    rounds: tuple[int, ...] = ()
    values_shown: bool = False


def offer_statement(
    kind: str, offer: Offer, situation: Situation, credentials: Mapping[str, Json], **more: Json
) -> Statement:
    """Describe what would leave for an offer; ``kind`` is disclosure, grant or offer.

    ``credentials`` are, by credential query id, everything that will leave but ``sd_hash`` and the signatures.
    """
    request, terms = offer.request, offer.terms
    return _with_text(
        {
            **_about(kind, request, situation),
            "purpose": request.purpose,
            "terms": {
                "asked": [asked.terms.members() for asked in request.terms],
                "accepted": terms.accepted,
                "own": None if terms.own is None else terms.own.members(),
            },
            "claims": [
                {
                    "name": claim.name,
                    "value": claim.value,
                    "version": claim.version,
                    "form": claim.form.value,
                    "instead_of": claim.instead_of,
                }
                for claim in offer.claims
            ],
            "missing": list(offer.missing),
            "withheld": list(offer.withheld),
            "refused": list(offer.refused),
            "later": list(offer.later),
            "optional": list(offer.optional),
            "notes": list(offer.notes),
            "values_shown": situation.values_shown,
            "rounds": list(situation.rounds),
            "credentials": dict(credentials),
            **more,
        }
    )


def login_statement(request: Request, situation: Situation, id_token: str) -> Statement:
    """Describe a login; ``id_token`` is the signing input of what will leave."""
    return _with_text({**_about("login", request, situation), "id_token": id_token})


def pin_statement(request: Request, situation: Situation) -> Statement:
    """Describe the acceptance of a request key."""
    return _with_text(_about(Kind.PROVIDER_PINNED.value, request, situation))


def _about(kind: str, request: Request, situation: Situation) -> Statement:
    provider = request.provider
    return {
        "v": 1,
        "kind": kind,
        "request": format_b64u(request.digest),
        "provider": {
            "trust": provider.trust.value,
            "client_id": provider.client_id,
            "name": provider.name,
            "key": provider.key_thumbprint,
            "anchor": provider.anchor,
            "new": situation.new_provider,
            "new_anchor": situation.new_anchor,
            "response_host": urlsplit(request.response_uri).hostname,
        },
        "app": app_label(situation.caller),
        "alarms": list(situation.alarms),
        "recipient": {
            "thumbprint": request.recipient.thumbprint,
            "alg": request.recipient.alg,
            "enc": request.recipient.enc,
            "response_uri": request.response_uri,
        },
    }


def repeat_statement(
    request: Request, caller: Caller, grant: int, claims: Sequence[OfferedClaim]
) -> Statement:
    """Describe a disclosure under the grant of entry ``grant``: shown to nobody, so nothing is rendered."""
    situation = Situation(caller, new_provider=False, new_anchor=False)
    return {
        **_about(Kind.DISCLOSURE.value, request, situation),
        "purpose": request.purpose,
        "grant": grant,
        "claims": [{"name": one.name, "value": one.value, "version": one.version} for one in claims],
    }


def read_statement(caller: Caller, tool: str, what: str, detail: Sequence[str | int]) -> Statement:
    """Describe an owner's read; here as below ``tool`` is the thumbprint of the key that the answer is sealed to."""
    return _owner_act(Kind.OWNER_READ.value, caller, tool, what=what, detail=list(detail))


def change_statement(
    caller: Caller,
    tool: str,
    change: str,
    claims: Sequence[tuple[str, Json]],
    replaced: Sequence[str],
    *,
    values_shown: bool,
) -> Statement:
    """Describe an owner's change with the values it sets; ``replaced`` names claims that have one now."""
    return _owner_act(
        Kind.OWNER_CHANGE.value,
        caller,
        tool,
        change=change,
        claims=[{"name": name, "value": value} for name, value in claims],
        replaced=list(replaced),
        values_shown=values_shown,
    )


def provider_statement(kind: str, caller: Caller, tool: str, provider: dict[str, Json]) -> Statement:
    """Describe the rotation of a provider's key, or that the provider is forgotten."""
    return _owner_act(kind, caller, tool, provider=provider)


def policy_statement(
    caller: Caller, tool: str, text: str, changes: Sequence[str], *, values_shown: bool
) -> Statement:
    """Describe a new policy; ``changes`` are the lines that differ, each with its sign in front."""
    return _owner_act("policy", caller, tool, text=text, changes=list(changes), values_shown=values_shown)


def token_statement(kind: str, caller: Caller, tool: str, token: dict[str, Json], **more: Json) -> Statement:
    """Describe an act upon a token or the recovery code; ``token`` has ``id``, ``name`` and ``software``."""
    return _owner_act(kind, caller, tool, token=token, **more)


def erasure_statement(
    caller: Caller,
    tool: str,
    entries: Sequence[int],
    kinds: Mapping[str, int],
    chosen: dict[str, Json],
    *,
    touches: int,
) -> Statement:
    """Describe the erasure of what ``entries`` say; ``chosen`` is how they were chosen, empty where by number."""
    return _owner_act(
        Kind.ERASED.value,
        caller,
        tool,
        entries=list(entries),
        kinds=dict(kinds),
        chosen=chosen,
        touches=touches,
    )


def anchor_statement(kind: str, caller: Caller, tool: str, anchor: dict[str, Json]) -> Statement:
    """Describe a place where heads are kept from now on, or no longer; ``anchor`` has ``kind`` and ``where``."""
    return _owner_act(kind, caller, tool, anchor=anchor)


def backup_statement(
    caller: Caller, tool: str, path: str, ways: Sequence[str], *, with_code: bool
) -> Statement:
    """Describe a backup; ``ways`` are the names of the tokens that open it."""
    return _owner_act("backup", caller, tool, file=path, ways=list(ways), recovery=with_code)


def restore_statement(
    caller: Caller, tool: str, backup: dict[str, Json], here: dict[str, Json] | None
) -> Statement:
    """Describe a restore: ``backup`` as its header says, ``here`` what is replaced, None where nothing is."""
    return _owner_act(Kind.RESTORED.value, caller, tool, backup=backup, here=here)


def statement_values(statement: Statement, caller: Caller) -> dict[str, Json]:
    """The values that an entry of the owner's own act commits to."""
    return {"statement": statement, "app": app_label(caller)}


def request_values(statement: Statement, caller: Caller, request: Request) -> dict[str, Json]:
    """The values that the entry of an act that a request asked for commits to."""
    return {
        **statement_values(statement, caller),
        "provider": provider_value(request.provider),
        "request": format_b64u(request.digest),
    }


def app_label(caller: Caller) -> dict[str, Json]:
    """The app as statements and openings name it."""
    return {"label": caller.label, "confidence": caller.confidence.value}


def _owner_act(kind: str, caller: Caller, tool: str, **members: Json) -> Statement:
    """An act of the owner's; ``tool`` is the thumbprint of the key that its answer is sealed to."""
    return _with_text({"v": 1, "kind": kind, "app": app_label(caller), "tool": tool, **members})


def _with_text(statement: Statement) -> Statement:
    statement["rendered"] = {"version": RENDER_VERSION, "text": render(statement)}
    return statement
