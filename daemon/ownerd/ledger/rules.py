"""The rules of single entries: what may stand where, given everything before it. Numbered as in docs/LEDGER.md.

`Rules` holds what later entries rest on: enrolled tokens, the recovery code's key, grants, where disclosures are and which of them
wait to be delivered, openings that are missing and not yet explained. All of it is small numbers, whatever the ledger's length.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from ownerd.ledger.approval import approval_check
from ownerd.ledger.entry import MAX_LAG
from ownerd.ledger.facts import MAY_BE_RECOVERED, NEEDS_APPROVAL, Enrolled, parse_token, recovery_key
from ownerd.ledger.findings import Damage, Findings
from ownerd.ledger.grants import Grants
from ownerd.ledger.history import History
from ownerd.ledger.log_keys import LogKeys
from ownerd.ledger.reading import Entry
from ownerd.ledger.signatures import Settle
from ownerd.model.encoding import Json
from ownerd.model.errors import BadSignature, LedgerError
from ownerd.model.names import Kind
from ownerd.model.token import RecoveryApproval

# Each entry asks for its kind a dozen times: looking a member up in an enumeration is slow before Python 3.12.
_GENESIS: Final = Kind.GENESIS
_DISCLOSURE: Final = Kind.DISCLOSURE
_NEEDS_APPROVAL: Final = NEEDS_APPROVAL - {Kind.DISCLOSURE}
_GIVES_AUTHORITY: Final = frozenset(
    {Kind.GRANT, Kind.TOKEN_ENROLLED, Kind.RECOVERY_SET, Kind.KEY_ROTATED, Kind.RESTORED}
)


class Rules:
    """State of the log before the next entry."""

    def __init__(self, findings: Findings, keys: LogKeys, settle: Settle) -> None:
        self.log_id: str | None = None
        self.approvals = 0
        self.erased = 0
        self._findings = findings
        self._keys = keys
        self._settle = settle
        self._tokens: dict[str, Enrolled] = {}
        self._recovery_key: bytes | None = None
        self._first_token_seen = False
        self._grants = Grants()
        self._disclosures = array("q")  # ascending
        self._undelivered: set[int] = set()
        self._unexplained: set[int] = set()
        self._recent: deque[bytes] = deque()
        self._recent_set: set[bytes] = set()

    def entry(self, seq: int, leaf: Entry, history: History) -> None:
        """Judge one entry by its place (rules 3 to 8) and take note of it for the entries after it."""
        self._place(seq, leaf, history)
        self._fresh(seq, leaf.digest)
        approved = self._approval(seq, leaf)
        self._authority(seq, leaf, history, approved=approved)
        refer = self._REFERENCES.get(leaf.kind)
        if refer is not None:
            refer(self, seq, leaf.facts)

    def opening(self, seq: int, leaf: Entry, ciphertext: bytes | None) -> None:
        """Judge the opening of an entry (rule 9)."""
        if leaf.opening is None:
            if ciphertext is not None:
                self._findings.add(
                    Damage.EXTRA_OPENING, seq, "an opening is there that the entry does not have"
                )
        elif ciphertext is None:
            self._unexplained.add(seq)
        elif hashlib.sha256(ciphertext).digest() != leaf.opening:
            self._findings.add(Damage.BAD_OPENING, seq, "the opening is not the one that was sealed")

    def end(self) -> None:
        """Name the openings that no `erased` entry explains."""
        for seq in sorted(self._unexplained):
            self._findings.add(
                Damage.MISSING_OPENING, seq, "the opening is gone and no entry says it was erased"
            )

    def _place(self, seq: int, leaf: Entry, history: History) -> None:
        # (3) One log, one genesis, at its beginning.
        if self.log_id is None:
            self.log_id = leaf.log
        if leaf.log != self.log_id:
            self._findings.add(Damage.WRONG_LOG, seq, "the entry belongs to another log")
        if leaf.kind is _GENESIS and seq != 0:
            self._findings.add(Damage.BAD_GENESIS, seq, "a genesis entry stands inside the log")
        # (4) An entry follows what it was signed over, closely, and knows no other history.
        if leaf.size > seq:
            self._findings.add(Damage.REORDERED, seq, "the entry was made for a later place")
            return
        if seq - leaf.size > MAX_LAG:
            self._findings.add(Damage.TOO_LATE, seq, "the entry was made for a much earlier place")
            return
        root = history.root_at(leaf.size)
        if root is not None and root != leaf.root:
            self._findings.add(Damage.WRONG_HISTORY, seq, "the entry was made over another history")
        # (5) Time never runs backwards along what an entry was signed over.
        if leaf.time < history.latest_before(leaf.size):
            self._findings.add(Damage.TIME_BACKWARDS, seq, "the entry is older than the history before it")

    def _fresh(self, seq: int, digest: bytes) -> None:
        # (6) One touch serves once. An older repeat than this window breaks rule 4.
        if digest in self._recent_set:
            self._findings.add(Damage.REPLAYED, seq, "the entry repeats an earlier one")
            return
        self._recent.append(digest)
        self._recent_set.add(digest)
        if len(self._recent) > MAX_LAG + 1:
            self._recent_set.discard(self._recent.popleft())

    def _approval(self, seq: int, leaf: Entry) -> bool:
        # (7) Whatever carries an approval carries a good one, by a token enrolled before this entry, or by the
        # recovery code where that serves; the first token vouches for itself, because nothing is before it.
        approval = leaf.approval
        if approval is None:
            return False
        kind, token = leaf.kind, None
        if isinstance(approval, RecoveryApproval):
            if kind not in MAY_BE_RECOVERED:
                sentence = "the recovery code approves nothing of this kind"
                self._findings.add(Damage.BAD_APPROVAL, seq, sentence)
                return False
        elif kind is Kind.TOKEN_ENROLLED and not self._first_token_seen:
            token = parse_token(leaf.facts["token"])
        else:
            token = self._tokens.get(approval.token)
        try:
            check = approval_check(approval, leaf.digest, token=token, recovery_key=self._recovery_key)
            if not self._settle(check):
                raise BadSignature("approval signature does not hold")
        except LedgerError as error:
            self._findings.add(Damage.BAD_APPROVAL, seq, str(error))
            return False
        self.approvals += 1
        return True

    def _authority(self, seq: int, leaf: Entry, history: History, *, approved: bool) -> None:
        # (8) Kinds that need a touch have one. A disclosure has a touch or a live grant, or both.
        absent = leaf.approval is None
        if leaf.kind in _NEEDS_APPROVAL and absent:
            self._findings.add(Damage.MISSING_APPROVAL, seq, "an entry of this kind needs an approval")
        if leaf.kind is _DISCLOSURE:
            if "grant" in leaf.facts:
                self._grant(seq, self._grants.use(leaf.facts["grant"], leaf.time))
            elif absent:
                self._findings.add(Damage.MISSING_APPROVAL, seq, "a disclosure needs an approval or a grant")
            self._disclosures.append(seq)
            self._undelivered.add(seq)
        elif leaf.kind in _GIVES_AUTHORITY:
            self._give(seq, leaf, history, approved=approved)

    def _give(self, seq: int, leaf: Entry, history: History, *, approved: bool) -> None:
        if leaf.kind is Kind.GRANT and approved:
            latest = history.latest_before(
                max(0, seq - MAX_LAG)
            )  # by rules 4 and 5 no later entry is before it
            self._grant(seq, self._grants.add(seq, leaf.facts, leaf.time, latest=latest))
        elif leaf.kind is Kind.TOKEN_ENROLLED:
            self._enrol(seq, leaf, approved=approved)
        elif leaf.kind is Kind.RECOVERY_SET and approved:
            self._recovery_key = recovery_key(leaf.facts)
        elif leaf.kind in (Kind.KEY_ROTATED, Kind.RESTORED) and leaf.facts:
            self._rotate(seq, leaf, approved=approved)

    def _rotate(self, seq: int, leaf: Entry, *, approved: bool) -> None:
        # (8), continued: from this entry on the log is signed by the new key, because a token said so.
        if not approved:
            return
        try:
            self._keys.rotate(seq, leaf.facts, leaf.log)
        except LedgerError as error:
            self._findings.add(Damage.BAD_ROTATION, seq, str(error))

    def _grant(self, seq: int, sentence: str | None) -> None:
        if sentence is not None:
            self._findings.add(Damage.BAD_GRANT, seq, sentence)

    def _enrol(self, seq: int, leaf: Entry, *, approved: bool) -> None:
        token = parse_token(leaf.facts["token"])
        self._first_token_seen = True
        if token.id in self._tokens:
            self._findings.add(Damage.BAD_TOKEN, seq, "the token is enrolled already")
        elif approved:
            self._tokens[token.id] = token

    # (8), continued: what an entry refers to exists, and ends once.

    def _token_removed(self, seq: int, facts: Mapping[str, Json]) -> None:
        if self._tokens.pop(facts["token"], None) is None:
            self._findings.add(Damage.BAD_TOKEN, seq, "the token that is removed was not enrolled")

    def _grant_ended(self, seq: int, facts: Mapping[str, Json]) -> None:
        self._grant(seq, self._grants.end(facts["grant"]))

    def _delivered(self, seq: int, facts: Mapping[str, Json]) -> None:
        if facts["entry"] not in self._undelivered:
            self._findings.add(Damage.BAD_DELIVERY, seq, "no disclosure waits to be delivered there")
        self._undelivered.discard(facts["entry"])

    def _receipt(self, seq: int, facts: Mapping[str, Json]) -> None:
        place = bisect_left(self._disclosures, facts["entry"])
        if self._disclosures[place : place + 1] != array("q", [facts["entry"]]):
            self._findings.add(Damage.BAD_RECEIPT, seq, "there is no disclosure that the receipt answers")

    def _erased(self, seq: int, facts: Mapping[str, Json]) -> None:
        for one in facts["entries"]:
            if one in self._unexplained:
                self._unexplained.discard(one)
                self.erased += 1
            else:
                sentence = f"entry {one}, said to be erased, has its opening or never had one"
                self._findings.add(Damage.BAD_ERASURE, seq, sentence)

    _REFERENCES: Final[dict[Kind, Callable[[Rules, int, Mapping[str, Json]], None]]] = {
        Kind.TOKEN_REMOVED: _token_removed,
        Kind.GRANT_ENDED: _grant_ended,
        Kind.DELIVERED: _delivered,
        Kind.RECEIPT: _receipt,
        Kind.ERASED: _erased,
    }
