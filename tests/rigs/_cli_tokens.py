"""The scripted agent's tokens and recovery code, in the real message formats (see `tests.rigs.cli`).

``enrolled`` and ``recovery`` in the plan are what is there; what a change did is in the calls.
"""

from __future__ import annotations

from typing import Any

FIRST = {
    "id": "00000000000000aa", "name": "software token 1", "type": "fido2", "software": True,
    "since_entry": 1, "user_verification": False, "opens": True, "present": True,
    "present_id": "soft-1",
}  # fmt: skip
NEW_KEY = "ownerd/new+12+34"


class TokenCases:
    """Reads and changes of tokens and of the recovery code. Mixed into the agent."""

    plan: Any  # the agent brings these
    note: Any
    act: Any
    _open: Any

    def _enrolled(self) -> list[dict[str, Any]]:
        return [{**FIRST, **row} for row in self.plan("enrolled", [{}])]

    def read_tokens(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["what"] == "tokens":
            busy = self.plan("busy", [])
            return {"tokens": self._enrolled(), "recovery": self.plan("recovery", None), "busy": busy}
        row = self._require(message["id"])
        return {"id": message["id"], "opens": row["opens"]}

    def change_tokens(self, message: dict[str, Any]) -> dict[str, Any]:
        change = message["change"]
        if change == "token-add":
            name = message["name"] or message["token"]
            opens = self.plan("opens", True)
            made = {"id": "00000000000000bb", "name": name, "software": True, "opens": opens}
            return {"entry": 5, "token": made}
        if change == "recovery-set":
            return {"entry": 6}
        row = self._require(message["id"])
        if change == "token-name":
            return {"entry": 7}
        assert change == "token-remove", message
        if not row["opens"]:
            return {"entry": 8, "rotated": False}
        return {"entry": 8, "rotated": True, "verifier_key": NEW_KEY}

    def recovered(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"entry": 9, "token": {"id": "00000000000000cc", "name": message["token"], "software": True}}

    async def recover(self, caller: Any, sealed: str, job: Any) -> str:
        message, seal = self._open(sealed)
        self.note("recover message", message)
        await self.act("recover", job)
        return seal(self.recovered(message))

    async def change_pin(self, caller: Any, token_id: str, job: Any) -> None:
        self.note("pin of", token_id)
        await self.act("change_pin", job)

    def _require(self, token_id: str) -> dict[str, Any]:
        from ownerd.model.errors import NotFound

        for row in self._enrolled():
            if row["id"] == token_id:
                return row
        raise NotFound("no such token is enrolled")
