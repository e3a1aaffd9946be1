"""What the owner does for the ledger's keeping, as the owner's tool words it: erase, back up."""

from __future__ import annotations

from typing import Final

from ownerd.core import backup, erasing
from ownerd.core.desk import Act
from ownerd.core.owner import ToolMessage
from ownerd.core.session import Session
from ownerd.model.encoding import Json

# Each change, and what its touches are for.
CHANGES: Final = {
    "erase": "erase values from the ledger",
    "backup": "back up vault and ledger",
}


async def change(session: Session, act: Act, message: ToolMessage) -> dict[str, Json]:
    """Carry out one of `CHANGES`. Raises `InvalidArgument`, `NotFound`."""
    members, tool = message.members, message.tool
    act.purpose = CHANGES[str(members["change"])]
    if members["change"] == "backup":
        return await backup.make(session, act, tool, backup.require_path(members.get("file")))
    return await erasing.erase(session, act, tool, erasing.parse_selection(members))
