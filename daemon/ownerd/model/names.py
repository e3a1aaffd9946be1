"""Names that more than one room uses: the bus, the RP ID, entry kinds, claim names."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

BUS_NAME: Final = "org.ownerd.Agent1"
AGENT_PATH: Final = "/org/ownerd/Agent1"
AGENT_INTERFACE: Final = "org.ownerd.Agent1"
REQUEST_INTERFACE: Final = "org.ownerd.Agent1.Request"
REQUEST_PATH_PREFIX: Final = "/org/ownerd/Agent1/request"
OWNER_PATH: Final = "/org/ownerd/Owner1"
OWNER_INTERFACE_PREFIX: Final = "org.ownerd.Owner1."

RP_ID: Final = "ownerd:owner"
ORIGIN: Final = "ownerd:owner"
VCT: Final = "urn:ownerd:owner:1"


class Kind(StrEnum):
    """Kinds of ledger entries (DESIGN section 8). A new kind is a format change."""

    GENESIS = "genesis"
    TOKEN_ENROLLED = "token-enrolled"
    TOKEN_REMOVED = "token-removed"
    RECOVERY_SET = "recovery-set"
    UNLOCKED = "unlocked"
    LOCKED = "locked"
    OWNER_READ = "owner-read"
    OWNER_CHANGE = "owner-change"
    PROVIDER_PINNED = "provider-pinned"
    REQUEST = "request"
    OFFER = "offer"
    REFUSED = "refused"
    FAILED = "failed"
    DISCLOSURE = "disclosure"
    DELIVERED = "delivered"
    GRANT = "grant"
    GRANT_ENDED = "grant-ended"
    RECEIPT = "receipt"
    KEY_ROTATED = "key-rotated"
    ERASED = "erased"
    ANCHORED = "anchored"
    RESTORED = "restored"


class Progress(StrEnum):
    """States that the ``Progress`` signal carries, each sent before the thing it names begins."""

    WAITING_FOR_UNLOCK = "waiting-for-unlock"
    WAITING_FOR_OWNER = "waiting-for-owner"
    WAITING_FOR_TERMINAL = "waiting-for-terminal"
    WAITING_FOR_TOKEN = "waiting-for-token"
    WAITING_FOR_PIN = "waiting-for-pin"
    WAITING_FOR_TOUCH = "waiting-for-touch"
    RECORDING = "recording"
