"""Statements: the canonical description of one act that a touch approves (DESIGN section 4, step 7).

A statement is a JSON object. What a prompt shows is `ownerd.core.render.render` of the statement, and is
in it, with the renderer's version; the statement's salted commitment is in the leaf core that the touch
signs. So what was shown is what was signed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ownerd.core.render import RENDER_VERSION, render
from ownerd.credential.presentation import Prepared, statement_part
from ownerd.model.caller import Caller
from ownerd.model.encoding import Json, format_b64u
from ownerd.model.names import Kind
from ownerd.model.offer import Offer

Statement = dict[str, Json]


def disclosure_statement(
    offer: Offer,
    prepared: Prepared,
    caller: Caller,
    *,
    new_provider: bool,
    new_anchor: bool,
    values_shown: bool,
) -> Statement:
    """Describe one disclosure: everything that will leave but ``sd_hash`` and the signatures."""
    request = offer.request
    provider = request.provider
    return _with_text(
        {
            "v": 1,
            "kind": Kind.DISCLOSURE.value,
            "request": format_b64u(request.digest),
            "provider": {
                "trust": provider.trust.value,
                "client_id": provider.client_id,
                "name": provider.name,
                "key": provider.key_thumbprint,
                "anchor": provider.anchor,
                "new": new_provider,
                "new_anchor": new_anchor,
            },
            "app": app_label(caller),
            "recipient": {
                "thumbprint": request.recipient.thumbprint,
                "alg": request.recipient.alg,
                "enc": request.recipient.enc,
                "response_uri": request.response_uri,
            },
            "purpose": request.purpose,
            "terms": None,
            "claims": [
                {"name": claim.name, "value": claim.value, "version": claim.version} for claim in offer.claims
            ],
            "missing": list(offer.missing),
            "withheld": list(offer.withheld),
            "values_shown": values_shown,
            "credential": statement_part(prepared),
        }
    )


def read_statement(caller: Caller, tool: str, what: str, detail: Sequence[str | int]) -> Statement:
    """Describe an owner's read; ``tool`` is the thumbprint of the key that the answer is sealed to."""
    return _with_text(
        {
            "v": 1,
            "kind": Kind.OWNER_READ.value,
            "app": app_label(caller),
            "tool": tool,
            "what": what,
            "detail": list(detail),
        }
    )


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
    return _with_text(
        {
            "v": 1,
            "kind": Kind.OWNER_CHANGE.value,
            "app": app_label(caller),
            "tool": tool,
            "change": change,
            "claims": [{"name": name, "value": value} for name, value in claims],
            "replaced": list(replaced),
            "values_shown": values_shown,
        }
    )


def token_statement(kind: str, caller: Caller, tool: str, token: dict[str, Json], **more: Json) -> Statement:
    """Describe an act upon a token or the recovery code; ``token`` has ``id``, ``name`` and ``software``."""
    return _with_text({"v": 1, "kind": kind, "app": app_label(caller), "tool": tool, "token": token, **more})


def statement_values(statement: Statement, caller: Caller) -> dict[str, Json]:
    """The values that an entry of the owner's own act commits to."""
    return {"statement": statement, "app": app_label(caller)}


def app_label(caller: Caller) -> dict[str, Json]:
    """The app as statements and openings name it."""
    return {"label": caller.label, "confidence": caller.confidence.value}


def _with_text(statement: Statement) -> Statement:
    statement["rendered"] = {"version": RENDER_VERSION, "text": render(statement)}
    return statement
