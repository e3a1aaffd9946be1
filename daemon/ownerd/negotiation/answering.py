"""What becomes of each asked claim: it goes in some form, or does not, for one reason. Pure.

A claim's path begins with member names. The longest of them that is a claim's name is the claim, held or not. What
follows would select inside its value (OpenID4VP 1.0, section 7.1), and a claim is one text, or one boolean or number
where it is derived: a member, an index or null selects nothing there, and is missing. ``["address"]`` means every
held member of it. A value that is not among the asked ones counts as missing, in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from enum import Enum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ownerd.model.claim import DERIVED_LABELS, LABELS, Claim
from ownerd.model.derived import derive
from ownerd.model.encoding import Json
from ownerd.model.errors import InvalidArgument
from ownerd.model.offer import Form, KnownAsker, OfferedClaim
from ownerd.model.policy import Action, Decision, GrantLimits, MailAlias, Policy, Substitute
from ownerd.model.query import ClaimQuery, PathElement
from ownerd.model.request import Provider, Trust
from ownerd.negotiation.policy import Prepared, narrowest

MADE_VERSION: Final = 0  # of values that are not from the vault: older than every version there
MADE_SOURCE: Final = "policy"

_ORDER: Final = {name: number for number, name in enumerate(LABELS)}
_TAG = re.compile(r"[a-z0-9]{1,20}", re.ASCII)


AskKey = tuple[tuple[PathElement, ...], tuple[tuple[str, str | int | bool], ...]]


def ask_key(asked: ClaimQuery) -> AskKey:
    """What is asked, whoever asks it and under which id; True and 1 differ, as in JSON."""
    if not asked.values:
        return asked.path, ()
    return asked.path, tuple((type(value).__name__, value) for value in asked.values)


class Fate(Enum):
    """What happens to an asked claim."""

    GOES = "goes"
    MISSING = "missing"
    WITHHELD = "withheld"
    REFUSED = "refused"
    LATER = "later"


class Outcome(Struct, frozen=True):
    """One asked name. ``claim`` is what goes, under its own name or ``instead_of`` it; ``grant`` lets it go again.

    ``each_time`` says that a rule wants the owner asked about ``claim`` each time.
    """

    name: str
    fate: Fate
    decision: Decision
    claim: OfferedClaim | None = None
    grant: GrantLimits | None = None
    each_time: bool = False


class Answers:
    """What becomes of the claims of one request."""

    def __init__(
        self,
        provider: Provider,
        policy: Policy,
        rules: Prepared,
        claims: Mapping[str, Claim],
        asker: KnownAsker,
        today: date,
        without: Collection[str],
    ) -> None:
        self._provider = provider
        self._alias = policy.alias
        self._rules = rules
        self._claims = claims
        self._asker = asker
        self._today = today
        self._without = frozenset(without)
        self._known: dict[str, Outcome] = {}

    def answer(self, asked: ClaimQuery) -> tuple[Outcome, ...]:
        """One outcome, or one for each held member of what is asked as a whole."""
        name, inner = self._locate(asked.path)
        members = self._members(name) if not inner and name not in self._claims else []
        if members:
            outcomes = tuple(map(self._outcome, members))
            # No text is equal to an object: values cannot be met here.
            return tuple(map(_missing, outcomes)) if asked.values else outcomes
        outcome = self._outcome(name)
        claim = outcome.claim
        if claim is not None and claim.instead_of is None and not _fits(claim.value, inner, asked.values):
            outcome = _missing(outcome)
        return (outcome,)

    def _members(self, name: str) -> list[str]:
        """Names of what is held of ``name``, in the order of the table of claims."""
        held = [one for one in self._claims if one.startswith(f"{name}.")]
        return sorted(held, key=lambda one: (_ORDER.get(one, len(_ORDER)), one))

    def _locate(self, path: tuple[PathElement, ...]) -> tuple[str, tuple[PathElement, ...]]:
        """Name of the claim that ``path`` is about, and what selects inside its value."""
        names: list[str] = []
        for element in path:
            if not isinstance(element, str):
                break
            names.append(element)
        for count in range(len(names), 0, -1):
            name = ".".join(names[:count])
            if name in LABELS or name in self._claims or name in DERIVED_LABELS:
                return name, path[count:]
        return ".".join(names) or "*", path[len(names) :]

    def _outcome(self, name: str) -> Outcome:
        if name not in self._known:
            self._known[name] = self._decided(name)
        return self._known[name]

    def _decided(self, name: str) -> Outcome:
        decision = self._rules.decide(name)
        if self._is_withheld(name):
            return Outcome(name, Fate.WITHHELD, replace(decision, why="you hold it back now"))
        if decision.action is Action.REFUSE:
            return Outcome(name, Fate.REFUSED, decision)
        if decision.action is Action.SUBSTITUTE:
            return self._substituted(name, decision)
        return self._plain(name, decision)

    def _is_withheld(self, name: str) -> bool:
        if not self._without:
            return False
        return name in self._without or any(
            name[:at] in self._without for at, character in enumerate(name) if character == "."
        )

    def _plain(self, name: str, decision: Decision) -> Outcome:
        claim = self._claims.get(name)
        if claim is not None:
            found = OfferedClaim(name, claim.value, claim.version, claim.source)
        else:
            derived = derive(name, self._claims, self._today)
            if derived is None:
                return Outcome(name, Fate.MISSING, decision)
            found = derived
        grant = decision.rule.grant if decision.rule else None
        return Outcome(name, Fate.GOES, decision, found, grant, decision.each_time)

    def _substituted(self, name: str, decision: Decision) -> Outcome:
        rule = decision.rule
        match rule and rule.substitute:
            case Substitute.LATER:
                return Outcome(name, Fate.LATER, decision)
            case Substitute.ALIAS if rule is not None:
                address = self._address()
                if address is None:
                    return _refused(name, decision, "there is none to make for this asker")
                made = OfferedClaim(name, address, MADE_VERSION, MADE_SOURCE, Form.ALIAS)
                return Outcome(name, Fate.GOES, decision, made, rule.grant)
            case Substitute.VALUE if rule is not None:
                made = OfferedClaim(name, rule.detail, MADE_VERSION, MADE_SOURCE, Form.SET)
                return Outcome(name, Fate.GOES, decision, made, rule.grant)
            case Substitute.CLAIM if rule is not None and rule.detail is not None:
                return self._stand_in(name, rule.detail, decision)
        raise InvalidArgument("a rule that substitutes does not say what with")

    def _stand_in(self, name: str, other: str, decision: Decision) -> Outcome:
        """Put ``other`` in place of ``name``, by the rules for ``other``; it has no other in its own place."""
        own = self._rules.decide(other)
        chained = own.rule is not None and own.rule.substitute in (Substitute.CLAIM, Substitute.LATER)
        if chained or own.action is Action.REFUSE:
            return _refused(name, decision, "a rule about that one forbids it")
        found = self._outcome(other)
        if found.fate is Fate.WITHHELD:
            return Outcome(name, Fate.WITHHELD, replace(decision, why="you hold back what stands in for it"))
        if found.claim is None:
            return _refused(name, decision, "there is none to give")
        grant = decision.rule.grant if decision.rule else None
        if grant is not None and own.rule is not None:
            # What a rule about the stand-in itself says of grants holds as well.
            grant = None if found.grant is None else narrowest([grant, found.grant])
        stand_in = replace(found.claim, instead_of=name)
        return Outcome(name, Fate.GOES, decision, stand_in, grant, found.each_time)

    def _address(self) -> str | None:
        """This provider's mail alias, None where there is none to make."""
        tag = self._asker.tag
        if self._provider.trust is Trust.CLAIMED or not tag or self._alias is None:
            return None
        return alias_address(self._alias, tag)


def alias_address(alias: MailAlias, tag: str) -> str:
    """``user+TAG@host``, or ``TAG@domain``. Raises `InvalidArgument` for a tag that is not a-z and 0-9."""
    if not _TAG.fullmatch(tag):
        raise InvalidArgument("an alias tag is not letters and digits")
    if alias.mailbox is not None:
        user, _, host = alias.mailbox.rpartition("@")
        return f"{user}+{tag}@{host}"
    return f"{tag}@{alias.domain}"


def _fits(value: Json, inner: tuple[PathElement, ...], values: tuple[str | int | bool, ...]) -> bool:
    # True == 1, but not in JSON.
    return not inner and (not values or any(type(value) is type(one) and value == one for one in values))


def _missing(outcome: Outcome) -> Outcome:
    if outcome.fate is not Fate.GOES:
        return outcome
    return replace(outcome, fate=Fate.MISSING, claim=None, grant=None)


def _refused(name: str, decision: Decision, reason: str) -> Outcome:
    return Outcome(name, Fate.REFUSED, replace(decision, why=f"{decision.why}, and {reason}"))
