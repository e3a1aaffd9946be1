"""``python -m tests.rigs._flood CALLS CONNECTIONS HOST``: ask and ask, and never listen to an answer.

Prints ``flooding`` once every connection stands, and at the end a JSON object: how many calls were answered how.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from demo import provider_kit as kit

from ownerd.dbuslib import Message, MessageType, Variant, connect_bus
from ownerd.model import names


async def flood(calls: int, connections: int, host: str) -> None:
    uri = f"https://{host}/answer"
    key = kit.new_encryption_key()
    text = kit.unsigned_request(kit.parameters(f"redirect_uri:{uri}", uri, ["given_name"], key))
    buses = [await connect_bus() for _ in range(connections)]
    print("flooding", flush=True)
    answers: Counter[str] = Counter()

    async def one(number: int) -> None:
        message = Message(
            names.BUS_NAME, names.AGENT_PATH, names.AGENT_INTERFACE, "Present", signature="sa{sv}"
        )
        message.body = [text, {"handle_token": Variant("s", f"flood{number}")}]
        reply = await buses[number % connections].call(message)
        said = reply.error_name if reply.message_type is MessageType.ERROR else "opened"
        answers[str(said).rpartition(".")[2]] += 1

    for start in range(0, calls, 500):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 500, calls))))
    print(json.dumps(answers), flush=True)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(flood(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
