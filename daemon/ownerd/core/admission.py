"""Who asks, judged against what is known: downgrades, changed keys, look-alikes, and the first acceptance of a key.

The credential layer says what a request proves by itself; here it is held against the owner's providers and pins.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial

from ownerd.core.desk import Act
from ownerd.core.known import Pin
from ownerd.core.session import Session
from ownerd.core.statement import Situation, pin_statement, request_values
from ownerd.core.vault import ID_BYTES, Vault
from ownerd.credential.lookalike import look_alike_notes
from ownerd.credential.request_object import read_request
from ownerd.credential.standing import Known, host_of, hosts_of, standing
from ownerd.model.errors import ClockWrong, Downgraded, KeyChanged, NotAllowed, RequestError
from ownerd.model.names import Kind, Progress
from ownerd.model.request import Request, Trust


def read(session: Session, text: str) -> Request:
    """Step 3: bytes become a verified request. Raises `RequestError`.

    Whether it is valid now the clock says, not the ledger (docs/decisions/0019): `ClockWrong` where they differ on that.
    """
    newest_ms = session.require_journal().now_ms()
    read_at = partial(read_request, text, anchors=session.anchors(), attesters=session.attesters())
    try:
        return read_at(now_ms=session.clock.now_ms())
    except NotAllowed as error:
        if session.clock_is_behind and _holds(partial(read_at, now_ms=newest_ms)):
            raise ClockWrong(
                "the request is valid at the newest entry's time, and not by the clock"
            ) from error
        raise


def _holds(read: Callable[[], Request]) -> bool:
    try:
        read()
    except RequestError:
        return False
    return True


def today(session: Session) -> dt.date:
    """The owner's day, for ages."""
    return dt.datetime.fromtimestamp(session.clock.now_ms() / 1000).astimezone().date()


def judge(vault: Vault, request: Request) -> tuple[str, ...]:
    """Return what the owner should be warned of, a sentence each.

    Raises `Downgraded` when a provider that once proved who it is proves less now, and `KeyChanged` when a pinned
    one signs with another key.
    """
    provider = request.provider
    known: list[Known] = [*vault.providers.values(), *vault.pins.values()]
    if standing(provider, known) is not None:
        raise Downgraded("a provider of this name has proven more before")
    pin = vault.pins.get(provider.client_id)
    if provider.trust is Trust.PINNED and pin is not None and pin.key != provider.key_thumbprint:
        raise KeyChanged("the provider signs with another key than the one that was accepted")
    hosts = {host for one in known for host in hosts_of(one)}
    named = host_of(provider.client_id) or provider.host
    return look_alike_notes(named, hosts - {named})


def needs_pin(vault: Vault, request: Request) -> bool:
    """Whether the owner has yet to accept the key that signed this request."""
    return request.provider.trust is Trust.PINNED and request.provider.client_id not in vault.pins


async def accept_key(
    session: Session, act: Act, vault: Vault, request: Request, alarms: tuple[str, ...]
) -> None:
    """Let the owner accept the request's key, with a touch of its own. Raises `Dismissed`, `TimedOut`."""
    journal, provider = session.require_journal(), request.provider
    situation = Situation(act.caller, new_provider=True, new_anchor=False, alarms=alarms)
    statement = pin_statement(request, situation)
    await session.agree(act, statement, "Accept")
    token = await session.locate(act, vault.enrolled)
    draft = journal.draft(Kind.PROVIDER_PINNED, request_values(statement, act.caller, request))
    act.purpose = "accept a provider's key"
    answer = await session.touch(act, token, draft.challenge, [])
    act.purpose = ""
    act.report(Progress.RECORDING)
    pin = Pin(
        id=session.rng(ID_BYTES).hex(),
        client_id=provider.client_id,
        name=provider.name,
        key=provider.key_thumbprint or "",
        since=draft.core.time,
        hosts=(provider.host,),
    )
    await journal.append(draft, approval=answer.approval, put=[vault.pin_record(pin)], apply=vault.apply)
    act.agreed = False  # to the key, and to nothing that comes
