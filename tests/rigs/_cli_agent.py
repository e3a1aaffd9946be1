"""The scripted agent of `tests.rigs.cli`, which says what a plan is. `serve` is run in a process that was forked for it.

It writes one JSON line a call into HOME/calls, and ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from tests.rigs._cli_bargain import BargainCases
from tests.rigs._cli_tokens import TokenCases

from ownerd.bus.service import BusService
from ownerd.core.service import Pending, Released, Status
from ownerd.credential.jwe import new_key, open_jwe, public_jwk, public_members, seal_jwe
from ownerd.credential.presentation import build_response, finish, prepare
from ownerd.credential.request_object import read_request
from ownerd.model.errors import error_table
from ownerd.model.names import Progress
from ownerd.model.paths import session_key_path
from ownerd.model.token import TokenInfo

TIME = "2026-11-23T14:00:00.123Z"


class ScriptedAgent(BargainCases, TokenCases):
    """An `AgentService` with claims in memory, following the plan."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._key = new_key()
        self._asked_by = ""
        self.claims = {"given_name": "Ada", "email": "ada@example.org"}
        self.ended = asyncio.Event()

    def note(self, *what: object) -> None:
        with (self._home / "calls").open("a") as file:
            file.write(json.dumps(what) + "\n")

    def plan(self, name: str, default: Any) -> Any:
        path = self._home / "plan.json"
        return json.loads(path.read_text()).get(name, default) if path.exists() else default

    async def act(self, what: str, job: Any) -> None:
        terminal = job.terminal
        self.note(what, None if terminal is None else [terminal.tty, terminal.term, terminal.locale])
        plan = self.plan(what, {})
        for state, details in plan.get("progress", []):
            job.progress(Progress(state), details)
        if "error" in plan:
            raise error_table()[plan["error"]](plan.get("message", "told so"))
        if plan.get("do") == "die":
            os._exit(1)
        if plan.get("do") in {"wait", "hold"}:
            try:
                await asyncio.sleep(plan.get("seconds", 3600))
            except asyncio.CancelledError:
                self.note("cancelled", what)
                if plan["do"] == "wait":  # to hold is to be in a commit that a cancel does not undo
                    raise

    def _open(self, sealed: str) -> tuple[dict[str, Any], Any]:
        message = json.loads(open_jwe(sealed, self._key))
        assert message.pop("v") == 1
        key = message.pop("key")
        self._asked_by = key["kid"]
        return message, lambda answer: seal_jwe(json.dumps(answer).encode(), key)

    def session_key(self) -> str:
        return json.dumps(public_jwk(self._key))

    def status(self) -> Any:
        plain = {
            "set_up": True,
            "unlocked": True,
            "providers": 1,
            "tokens": 1,
            "entries": 3,
            "pending": 0,
            "recovery": True,
        }
        return Status(**{**plain, "claims": len(self.claims), **self.plan("status", {})})

    async def present(self, caller: Any, request: str, job: Any, wishes: Any = None) -> Any:
        await self.act("present", job)
        if (offered := self.offered(request, wishes)) is not None:
            return offered
        if "response" in self.plan("present", {}):
            return Released(self.plan("present", {})["response"], 4)
        now = time.time()
        asked = read_request(request, anchors=[], now_ms=int(now * 1000))
        self.note("asked", asked.provider.client_id, asked.purpose)
        key = ec.generate_private_key(ec.SECP256R1())
        values = [
            (claim.path, self.claims[".".join(claim.path)]) for claim in asked.query.credentials[0].claims
        ]
        prepared = prepare(values, asked, holder_jwk=public_members(key), issued_at=int(now), rng=os.urandom)
        return Released(build_response(asked, {asked.query.credentials[0].id: finish(prepared, key)}), 4)

    async def delivered(self, released: Any) -> None:
        self.note("delivered", released.entry)

    async def setup(self, caller: Any, sealed: str, job: Any) -> str:
        message, seal = self._open(sealed)
        self.note("setup message", message)
        await self.act("setup", job)
        return seal({"entry": 1, "verifier_key": "ownerd/ab+cd+ef", "token": {"id": message["token"]}})

    async def unlock(self, caller: Any, job: Any) -> None:
        await self.act("unlock", job)

    def lock(self, reason: str) -> None:
        self.note("lock", reason)
        if self.plan("lock", {}).get("do") != "ignore":
            self.ended.set()

    async def tokens(self) -> Any:
        soft = {
            "id": "soft-1", "name": "software token 1", "transport": "software", "aaguid": "00",
            "firmware": 1, "has_pin": False, "pin_tries": None, "software": True,
        }  # fmt: skip
        self.note("tokens")
        return [TokenInfo(**{**soft, **token}) for token in self.plan("tokens", [{}])]

    def _claim(self, name: str) -> dict[str, Any]:
        return {"name": name, "value": self.claims[name], "source": "owner", "changed": TIME, "version": 1}

    async def read(self, caller: Any, sealed: str, job: Any) -> str:
        message, seal = self._open(sealed)
        self.note("read message", message)
        self.note("read key", self._asked_by)
        await self.act("read", job)
        what = message["what"]
        if what in {"tokens", "token"}:
            return seal(self.read_tokens(message))
        if what in {"policy", "explain", "grants"}:
            return seal(self.read_bargains(message))
        if what == "claims":
            wanted = message["names"] or list(self.claims)
            return seal({"claims": [self._claim(name) for name in wanted if name in self.claims]})
        if what == "entries" and (pages := self.plan("pages", None)) is not None:
            return seal(pages[str(message["start"])])
        name = {"provider": "providers", "entry": "entries"}.get(what, what)
        return seal({name: self.plan(name, [])})

    async def change(self, caller: Any, sealed: str, job: Any) -> str:
        message, seal = self._open(sealed)
        self.note("change message", message)
        await self.act("change", job)
        if message["change"].startswith(("token-", "recovery-")):
            return seal(self.change_tokens(message))
        if message["change"].startswith(("policy", "grant-", "provider-")):
            return seal(self.change_bargains(message))
        if message["change"] == "set":
            changed = {claim["name"]: claim["value"] for claim in message["claims"]}
            self.claims |= changed
        else:
            changed = {name: self.claims.pop(name) for name in message["names"]}
        return seal({"entry": 3, "claims": list(changed)})

    def pending(self) -> Any:
        gone = {call[1] for call in map(json.loads, (self._home / "calls").read_text().splitlines())
                if call[0] in {"approve", "refuse"}}  # fmt: skip
        rows = self.plan("pending", [])
        return [
            Pending(row, "present", "app", "scope", "waiting-for-terminal", TIME)
            for row in rows
            if row not in gone
        ]

    def watch(self, terminal: Any) -> None:
        self.note("watch", None if terminal is None else terminal.tty)

    async def show_values(self, caller: Any, job: Any) -> None:
        await self.act("show_values", job)


def serve(home: Path, env: Mapping[str, str], told: Connection) -> None:
    """Be the agent of a desk; says "ready" to ``told``."""
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    asyncio.run(_serve(home, told))


async def _serve(home: Path, told: Connection) -> None:
    agent = ScriptedAgent(home)
    agent.note("started")
    service = BusService(agent)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    session_key_path().write_text(agent.plan("session_key", agent.session_key()))
    session_key_path().chmod(agent.plan("session_key_mode", 0o600))
    await service.start()
    told.send("ready")
    ends = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(agent.ended.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    await service.stop()
