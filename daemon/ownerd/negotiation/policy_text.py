"""The policy as the owner writes it: TOML, read strictly. docs/POLICY.md is the owner's manual of this format.

    version = 1

    [alias]
    mailbox = "me@example.org"

    [[rule]]
    provider = "shop.example"
    claims = ["email"]
    do = "substitute"
    with = "alias"

    [[terms]]
    purpose = "dpv:DeliveryOfGoods"
    retention = "P90D"

Every key that is not known, every value of another type or form and every rule that could not do what it says is
refused, with the number of the rule (from 1, in the order of the text). Nothing is half-understood.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

from ownerd.credential.dns_name import is_dns_name
from ownerd.credential.shown_text import is_shown_text
from ownerd.credential.transaction_data import (
    MAX_RECIPIENT_CHARS,
    MAX_RECIPIENTS,
    require_agreement,
    retention_days,
)
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument
from ownerd.model.plain import is_plain
from ownerd.model.policy import MailAlias, Policy, Substitute
from ownerd.model.terms import PURPOSES, Terms
from ownerd.negotiation.policy_rules import (
    Members,
    parse_rule,
    require_members,
    require_purpose,
    require_text,
    require_texts,
)

VERSION: Final = 1
MAX_TEXT_BYTES: Final = 64 * 1024
MAX_LINE_CHARS: Final = 1024  # a dotted key costs the square of its parts
MAX_RULES: Final = 500
MAX_MAILBOX_CHARS: Final = (
    40  # a local part has 64 at most, and the tag is still to come (RFC 5321, 4.5.3.1.1)
)

_KEYS = frozenset({"version", "alias", "rule", "terms"})
# Only units whose length in days is certain: the owner's limit must not depend on how long a month is.
_RETENTION = re.compile(r"P[0-9]{1,5}[DW]", re.ASCII)
_LOCAL_PART = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)


def parse_policy(text: str) -> Policy:
    """Read a policy text of at most `MAX_TEXT_BYTES` and `MAX_RULES` rules.

    Raises `InvalidArgument` naming the rule and the key for anything that is not understood in full.
    """
    members = require_members(_toml(text), _KEYS)
    if type(members.get("version")) is not int or members["version"] != VERSION:
        raise InvalidArgument(f"a policy begins with version = {VERSION}")
    tables = _tables(members, "rule", MAX_RULES)
    policy = Policy(
        text=text,
        rules=tuple(parse_rule(number, table) for number, table in enumerate(tables, 1)),
        terms=tuple(
            _numbered(members, number) for number in range(len(_tables(members, "terms", len(PURPOSES) + 1)))
        ),
        alias=_alias(members["alias"]) if "alias" in members else None,
    )
    purposes = [purpose for purpose, _ in policy.terms]
    for number, purpose in enumerate(purposes, 1):
        if purpose in purposes[: number - 1]:
            raise InvalidArgument(f"terms {number}: there are terms for this purpose already")
    for rule in policy.rules:
        if rule.substitute is Substitute.ALIAS and policy.alias is None:
            raise InvalidArgument(f"rule {rule.number}: with = 'alias' needs an [alias] table")
    return policy


def _toml(text: str) -> Json:
    if len(text) > MAX_TEXT_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise InvalidArgument(f"the policy is larger than {MAX_TEXT_BYTES} bytes")
    lines = text.replace("\r\n", "\n")
    seen = lines.replace("\t", " ")
    ascii_only = seen.isascii() and seen.replace("\n", "").isprintable()  # true says plain, and fast
    if not ascii_only and not is_plain(seen, newlines=True):
        raise InvalidArgument("the policy has characters that cannot be seen")
    if any(len(line) > MAX_LINE_CHARS for line in lines.split("\n")):
        raise InvalidArgument(f"the policy has a line of more than {MAX_LINE_CHARS} characters")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"the policy is not TOML{_position(str(error))}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("the policy is not TOML") from error


def _position(message: str) -> str:
    """Where the parser stopped, without its words: they may hold a part of the text."""
    match = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)", message)
    return f" {match[0]}" if match else ""


def _tables(members: Members, name: str, most: int) -> list[Json]:
    tables = members.get(name, [])
    if not isinstance(tables, list):
        raise InvalidArgument(f"{name} is written [[{name}]]")
    if len(tables) > most:
        raise InvalidArgument(f"the policy has more than {most} {name} tables")
    return tables


def _numbered(members: Members, number: int) -> tuple[str | None, Terms]:
    try:
        return _terms(members["terms"][number])
    except InvalidArgument as error:
        raise InvalidArgument(f"terms {number + 1}: {error}") from error


def _terms(value: Json) -> tuple[str | None, Terms]:
    members = require_members(value, {"purpose", "retention", "recipients", "agreement"})
    purpose = require_purpose(members["purpose"]) if "purpose" in members else None
    recipients = require_texts(members.get("recipients", []), "recipients", MAX_RECIPIENTS, least=0)
    if not all(is_shown_text(name, max_chars=MAX_RECIPIENT_CHARS) for name in recipients):
        raise InvalidArgument(f"recipients are not names of at most {MAX_RECIPIENT_CHARS} characters")
    return purpose, Terms(
        purposes=() if purpose is None else (purpose,),
        retention_days=_retention(members["retention"]) if "retention" in members else None,
        recipients=recipients,
        agreement=_agreement(members["agreement"]) if "agreement" in members else None,
    )


def _retention(value: Json) -> int:
    try:
        if not isinstance(value, str) or not _RETENTION.fullmatch(value):
            raise InvalidArgument("not in days or weeks")
        return retention_days(value)
    except InvalidArgument as error:
        raise InvalidArgument("retention is not P and days or weeks, as P90D or P2W") from error


def _agreement(value: Json) -> str:
    try:
        return require_agreement(value)
    except InvalidArgument as error:
        raise InvalidArgument("agreement is not an https or urn URI") from error


def _alias(value: Json) -> MailAlias:
    try:
        members = require_members(value, {"mailbox", "domain"})
        if len(members) != 1:
            raise InvalidArgument("either mailbox or domain has to stand there")
        if "domain" in members:
            return MailAlias(domain=_host(members["domain"], "domain"))
        user, _, host = require_text(members["mailbox"], "mailbox").rpartition("@")
        if len(user) > MAX_MAILBOX_CHARS or not _LOCAL_PART.fullmatch(user):
            raise InvalidArgument("mailbox is not a plain address to which +TAG can be added")
        return MailAlias(mailbox=f"{user}@{_host(host, 'mailbox')}")
    except InvalidArgument as error:
        raise InvalidArgument(f"alias: {error}") from error


def _host(value: Json, what: str) -> str:
    host = require_text(value, what)
    if not is_dns_name(host):
        raise InvalidArgument(f"{what} does not have a lowercase DNS name")
    return host
