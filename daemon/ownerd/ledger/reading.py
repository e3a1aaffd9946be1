"""A leaf as verification reads it: exactly the leaves that `parse_leaf` reads, several times as fast.

A canonical leaf has its members in one order and hardly an escape in it, so that one pattern takes nearly all of them
apart, and JCS(core) is a piece of its bytes. The pattern only ever says "this is a leaf": whatever it does not match,
and whatever is odd about what it matched, goes to `parse_leaf`, which alone refuses. A test holds the two together.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from ownerd.ledger.approval_form import read_approval
from ownerd.ledger.entry import MAX_COMMITMENTS, MAX_LEAF_BYTES, challenge, parse_leaf
from ownerd.ledger.facts import MAX_CREDENTIAL_BYTES, require_facts
from ownerd.ledger.shape import MAX_INT, format_plain
from ownerd.model.clock import parse_time
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument, Malformed
from ownerd.model.names import Kind
from ownerd.model.token import Approval, Fido2Approval

_32 = "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"  # base64url of 32 bytes: two unused bits are zero
_16 = "[A-Za-z0-9_-]{21}[AQgw]"
_ANY = "[A-Za-z0-9_-]+"
_COUNT = "(?:0|[1-9][0-9]{0,15})"
_LABEL = "[a-z][a-z_-]{0,31}(?:/(?:0|[1-9][0-9]{0,3}))?"
_ONE = f'"{_LABEL}":"{_32}"'
_MANY = rf"\{{(?:{_ONE}(?:,{_ONE})*)?\}}"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
_TEXT = r"[ !#-\[\]-z|~\"]*"  # printable ASCII: no backslash, no braces
_OBJECT = rf"\{{{_TEXT}\}}"
_FACTS = rf"\{{{_TEXT}(?:\{{{_TEXT}(?:{_OBJECT}{_TEXT})?\}}{_TEXT})?\}}"  # those of a token have two objects inside

_LEAF = re.compile(
    rf'\{{"approval":(null|{_OBJECT}),'
    rf'"core":(\{{"commitments":({_MANY}),"facts":({_FACTS}),"kind":"([a-z-]{{1,32}})","log":"([0-9a-f]{{32}})",'
    rf'"nonce":"{_16}","root":"({_32})","size":({_COUNT}),"time":"({_TIME})"\}}),'
    rf'"opening":(null|"{_32}"),"outcome":({_MANY}),"v":1,'
    rf'"vault":\{{"digest":"{_32}","generation":({_COUNT})\}}\}}'
)
_FIDO2 = re.compile(
    rf'\{{"auth_data":"({_ANY})","client_data":"({_ANY})","credential":"({_ANY})","signature":"({_ANY})",'
    r'"token":"([ !#-\[\]-~]{1,64})","type":"fido2"\}'
)
_REFERENCE = re.compile(rf'\{{"(entry|grant)":({_COUNT})\}}')
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST = (_ALPHABET, "", "AQgw", "AEIMQUYcgkosw048")  # of base64url, by length modulo 4: unused bits are zero
_STANDARD = bytes.maketrans(b"-_", b"+/")
_REFERENCES: Final = {
    Kind.DISCLOSURE: "grant",
    Kind.DELIVERED: "entry",
    Kind.RECEIPT: "entry",
    Kind.GRANT_ENDED: "grant",
}
_KINDS: Final = {kind.value: kind for kind in Kind}


class Entry(Struct):
    """One entry, as far as the rules look at it. ``digest`` is its challenge, ``opening`` the ciphertext's hash."""

    log: str
    time: str
    kind: Kind
    size: int
    root: bytes
    facts: Mapping[str, Json]
    approval: Approval | None
    opening: bytes | None
    digest: bytes


def read_entry(data: bytes) -> Entry:
    """Read a leaf. Raises `Malformed` exactly where `parse_leaf` does."""
    entry = _quick(data)
    if entry is not None:
        return entry
    leaf = parse_leaf(data)
    core = leaf.core
    return Entry(
        log=core.log,
        time=core.time,
        kind=core.kind,
        size=core.size,
        root=core.root,
        facts=core.facts,
        approval=leaf.approval,
        opening=leaf.opening,
        digest=challenge(core),
    )


def _quick(data: bytes) -> Entry | None:
    """The entry, or None where `parse_leaf` has to judge."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return None
    found = _LEAF.fullmatch(text)
    if found is None or len(data) > MAX_LEAF_BYTES:
        return None
    approval, core, before, facts, kind_name, log, root, size, time, opening, after, generation = (
        found.groups()
    )
    kind = _KINDS.get(kind_name)
    if kind is None or not _is_date(time[:10]) or int(size) > MAX_INT or int(generation) > MAX_INT:
        return None
    if not _are_labels(before, after):
        return None
    try:
        return Entry(
            log=log,
            time=time,
            kind=kind,
            size=int(size),
            root=_bytes(root),
            facts=_facts(kind, facts),
            approval=None if approval == "null" else _approval(approval),
            opening=None if opening == "null" else _bytes(opening[1:-1]),
            digest=hashlib.sha256(b"ownerd/%b/v1\x00%b" % (kind_name.encode(), core.encode())).digest(),
        )
    except (Malformed, ValueError, RecursionError):
        return None


@lru_cache(maxsize=64)
def _is_date(date: str) -> bool:
    try:
        parse_time(f"{date}T00:00:00.000Z")
    except InvalidArgument:
        return False
    return True


def _are_labels(before: str, after: str) -> bool:
    """Whether both objects have their labels once and in order, not too many, and none in both."""
    # {"label":"hash","label":"hash"}, split at the quotes: every fourth piece is a label.
    return _agree(tuple(before.split('"')[1::4]), tuple(after.split('"')[1::4]))


# Entries of one kind have the same labels over and over, and the same facts, too.
@lru_cache(maxsize=64)
def _agree(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    return all(
        len(labels) <= MAX_COMMITMENTS and all(map(str.__lt__, labels, labels[1:]))
        for labels in (before, after)
    ) and set(before).isdisjoint(after)


def _bytes(text: str) -> bytes:
    """Decode base64url whose form a pattern has made sure of."""
    return binascii.a2b_base64(text.encode().translate(_STANDARD) + b"==")


def _any_bytes(text: str) -> bytes:
    """Decode what may be base64url. Raises `Malformed`."""
    if text[-1] not in _LAST[len(text) % 4]:
        raise Malformed("a member is not base64url")
    return _bytes(text)


def _facts(kind: Kind, text: str) -> Mapping[str, Json]:
    reference = None if text == "{}" else _REFERENCE.fullmatch(text)
    if reference is None:
        return _other_facts(kind, text)
    name, place = reference[1], int(reference[2])
    if _REFERENCES.get(kind) != name or place > MAX_INT:
        raise Malformed("not the facts of this kind")
    return {name: place}


@lru_cache(maxsize=64)
def _other_facts(kind: Kind, text: str) -> Mapping[str, Json]:
    facts = _canonical(text)
    require_facts(kind, facts)
    return facts


def _canonical(text: str) -> dict[str, Json]:
    value = json.loads(text)
    if not isinstance(value, dict) or format_plain(value) != text.encode():
        raise Malformed("JSON is not canonical")
    return value


def _approval(text: str) -> Approval:
    found = _FIDO2.fullmatch(text)
    if found is None:
        return read_approval(_canonical(text))
    auth_data, client_data, credential, signature = map(_any_bytes, found.group(1, 2, 3, 4))
    if not (
        len(auth_data) <= 1024
        and len(client_data) <= 1024
        and len(credential) <= MAX_CREDENTIAL_BYTES
        and len(signature) <= 128
    ):
        raise Malformed("a member has the wrong number of bytes")
    return Fido2Approval(found[5], credential, client_data, auth_data, signature)


__all__ = ["Entry", "read_entry"]
