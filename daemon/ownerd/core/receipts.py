"""What comes back: what a provider returned becomes an entry beside the disclosure that it answers.

No touch is needed, because nothing leaves. It is sealed by the app to the daemon's key, bounded in size and in
number, and its signature is checked against the key that signed the provider's request.
"""

from __future__ import annotations

from ownerd.core.desk import Act
from ownerd.core.plan import terms_hash
from ownerd.core.records import read_entries
from ownerd.core.session import Session
from ownerd.core.statement import app_label
from ownerd.credential.jwe import JwePrivateKey, open_jwe
from ownerd.credential.receipt import Receipt, ReceiptSignature, read_receipt
from ownerd.model.encoding import Json, parse_json_object
from ownerd.model.errors import InvalidArgument, NotFound
from ownerd.model.names import Kind, Progress


async def receive(session: Session, act: Act, sealed: str, key: JwePrivateKey) -> int:
    """Record a receipt; waits for an unlock like a request. Returns its entry.

    Raises `NotFound` when the entry is no disclosure, `NotAllowed` for a bad signature, `InvalidArgument`.
    """
    journal = session.require_journal()
    number, text = _message(sealed, key)
    if number >= journal.size:
        raise NotFound("no such disclosure")
    if session.vault is None:
        await session.desk.notify_waiting(act)
        await session.desk.wait_for(act, session.unlocked, Progress.WAITING_FOR_UNLOCK)
    vault = session.require_vault()
    found = await read_entries(session.store, vault.opening_keys(), number, 1)
    answered = found["entries"][0]
    if answered["kind"] != Kind.DISCLOSURE.value:
        raise NotFound("no such disclosure")
    values = answered["values"] or {}
    provider = values.get("provider") or {}
    receipt = read_receipt(text, provider.get("key"))
    session.receipts.take(number)
    act.report(Progress.RECORDING)
    made: dict[str, Json] = {
        "app": app_label(act.caller),
        "provider": provider,
        "receipt": _shown(receipt, values.get("statement") or {}),
    }
    return await journal.append(journal.draft(Kind.RECEIPT, made, {"entry": number}))


def _shown(receipt: Receipt, statement: dict[str, Json]) -> dict[str, Json]:
    own = (statement.get("terms") or {}).get("own")
    digest = None if own is None else terms_hash({"v": 1, **own})
    return {
        "text": receipt.text,
        "payload": receipt.payload,
        "signature": receipt.signature.value,
        # True only for the owner's own terms of that very disclosure, under a good signature.
        "accepts_terms": receipt.signature is ReceiptSignature.GOOD
        and digest is not None
        and receipt.terms == digest,
    }


def _message(sealed: str, key: JwePrivateKey) -> tuple[int, str]:
    members = parse_json_object(open_jwe(sealed, key))
    if members.keys() != {"v", "entry", "receipt"} or members["v"] != 1:
        raise InvalidArgument("the sealed message has other members than v, entry and receipt")
    entry, receipt = members["entry"], members["receipt"]
    if not isinstance(entry, int) or isinstance(entry, bool) or entry < 0 or not isinstance(receipt, str):
        raise InvalidArgument("the sealed message names no entry or no receipt")
    return entry, receipt
