"""What an entry of the ledger is about, in a line for people. Shows no claim's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ownerctl import render

if TYPE_CHECKING:
    from ownerd.model.encoding import Json

_LONG_FACTS: Final = frozenset({"verifier_key", "opening_key"})
_KEY_CHARS: Final = 12
_MAX_NUMBERS: Final = 12
_ACTS: Final = {
    "policy": "the policy",
    "provider-rotated": "a new key",
    "provider-forgotten": "forgotten",
    "backup": "a backup",
    "anchor-removed": "a head kept there no longer",
}
_SIGNATURES: Final = {
    "good": "signed by its key",
    "unknown-key": "signed by a key that is not known",
    "none": "not signed",
}


def approved_by(entry: Mapping[str, Json]) -> str:
    """``touch``, the grant that a touch made, or nothing."""
    if entry.get("approval"):
        return "touch"
    grant = (entry.get("facts") or {}).get("grant")
    return f"grant {grant}" if entry.get("kind") == "disclosure" and grant is not None else ""


def facts_in_words(entry: Mapping[str, Json]) -> dict[str, Json]:
    """The facts that anyone with the file can read, under names for people."""
    facts = entry.get("facts") or {}
    named = _FACTS.get(str(entry.get("kind")))
    return named(facts) if named is not None else dict(facts)


def summary(entry: Mapping[str, Json]) -> str:
    """What an entry is about, from its facts and, where they are given, its values."""
    values = entry.get("values") or {}
    parts = [_word(values[label]) for label in ("provider", "app", "purpose", "error") if label in values]
    claims = [_claim(value) for label, value in values.items() if label.startswith("claim/")]
    if claims:
        parts.append(", ".join(claims))
    parts += _of_kind(str(entry.get("kind")), values)
    facts = facts_in_words(entry)
    told = _LONG_FACTS | ({"error"} & values.keys())
    parts += [f"{name} {_word(value)}".strip() for name, value in facts.items() if name not in told]
    if entry.get("values") is None and "values" in entry:
        parts.append("values not shown")
    return "; ".join(part for part in parts if part)


def claim_in_words(claim: Mapping[str, Json]) -> str:
    """One claim of an opening with its value; a counter-offer has none."""
    asked = f", instead of {claim['of']}" if claim.get("of") else ""
    value = "offered without its value" if claim.get("value") is None else claim["value"]
    return f"{value} (version {claim.get('version')}{asked})"


def _of_kind(kind: str, values: Mapping[str, Json]) -> list[str]:
    """What the values say that belongs to one kind alone."""
    statement = values.get("statement")
    told = statement if isinstance(statement, dict) else {}
    if kind == "offer":
        offer = told.get("document")
        return [f"round {offer['round']}"] if isinstance(offer, dict) and "round" in offer else []
    if kind in {"owner-change", "owner-read", "key-rotated"}:
        return [_ACTS[told["kind"]]] if told.get("kind") in _ACTS else []
    if kind == "anchored":
        return [_anchor(one) for one in values.get("anchors") or [told.get("anchor")]]
    if kind == "grant-ended":
        return [str(values["reason"])] if "reason" in values else []
    if kind == "provider-pinned":
        provider = values.get("provider")
        key = provider.get("key") if isinstance(provider, dict) else None
        return [f"key {str(key)[:_KEY_CHARS]}…"] if key else []
    if kind == "receipt":
        receipt = values.get("receipt")
        if not isinstance(receipt, dict):
            return []
        signed = _SIGNATURES.get(str(receipt.get("signature")), "")
        return [signed, *(["accepts the terms"] if receipt.get("accepts_terms") else [])]
    return []


def _word(value: Json) -> str:
    """A value of an opening in a word: the name or label of what it describes."""
    if isinstance(value, dict):
        return str(value.get("name") or value.get("label") or "")
    if isinstance(value, list):
        return ", ".join(_word(one) for one in value)
    return "" if value is None else str(value)


def _anchor(value: Json) -> str:
    """A place where a head is kept, and how much the head signs where that is said."""
    if not isinstance(value, dict):
        return ""
    size = f", {value['size']} entries" if value.get("size") is not None else ""
    return f"{value.get('kind')} {value.get('where')}{size}"


def _claim(value: Json) -> str:
    instead_of = value.get("of") if isinstance(value, dict) else None
    return f"{_word(value)} instead of {instead_of}" if instead_of else _word(value)


def entries_in_words(entries: Sequence[int]) -> str:
    """Up to a dozen entry numbers, or how many there are between which two."""
    if len(entries) <= _MAX_NUMBERS:
        return ", ".join(str(one) for one in entries)
    return f"{len(entries)} entries from {min(entries)} to {max(entries)}"


def _grant(facts: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "until": render.local_time(str(facts.get("until"))),
        "at most": f"{facts.get('count')} times, {facts.get('per_hour')} an hour",
    }


_FACTS: Final[dict[str, Callable[[Mapping[str, Json]], dict[str, Json]]]] = {
    "grant": _grant,
    "grant-ended": lambda facts: {"grant": facts.get("grant")},
    "disclosure": lambda facts: {"under grant": facts["grant"]} if "grant" in facts else {},
    "receipt": lambda facts: {"for entry": facts.get("entry")},
    "erased": lambda facts: {"erased": entries_in_words(facts.get("entries") or [])},
}
