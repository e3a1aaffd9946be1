"""``ownerctl open`` against a provider made of libraries that are not ours: every part a process, over HTTPS."""

from __future__ import annotations

import re

import pytest
from tests.rigs.verifier import HOST, Web


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_is_answered_and_the_verifier_accepts_it(web: Web, method: str) -> None:
    verifier = web.start(method)
    assert verifier.link.startswith("openid4vp://?client_id=x509_san_dns%3Ashop.example&request_uri=https%3A")
    tool = web.tool("--no-browser", verifier.link)
    asked = tool.wait_for(r"contact shop\.example:\d+\? \[y/N\]: ")
    assert f"the link asks to fetch a request from: {HOST}:" in asked
    tool.type("y\n")
    prompt = web.world.approve(tool)
    assert HOST in prompt
    assert "e-mail" in prompt
    tool.wait_for(rf"https://{HOST}:{verifier.port}/thanks#response_code=")
    tool.wait_for(rf"{HOST}:{verifier.port} has the answer, recorded as entry \d+")
    assert tool.wait() == 0, tool.text

    verified = verifier.said()["verified"]
    assert verified["encrypted"] == "Encrypted"
    claims = verified["claims"]
    assert (claims["given_name"], claims["email"]) == ("Ada", "ada@example.org")
    assert claims["iss"] == claims["sub"]
    assert re.fullmatch(r"did:jwk:[A-Za-z0-9_-]+", claims["iss"])
    web.world.verify()


def test_a_host_that_the_owner_declines_is_never_contacted(web: Web) -> None:
    verifier = web.start()
    tool = web.tool(verifier.link)
    tool.wait_for(r"\[y/N\]: ")
    tool.type("\n")
    assert tool.wait() == 3, tool.text
    assert "the host was not agreed to" in tool.text
    assert verifier.is_silent()
    assert web.world.tool_json("status")["pending"] == 0


def test_a_refusal_at_the_prompt_is_told_without_a_reason_when_wished(web: Web) -> None:
    verifier = web.start()
    tool = web.tool("--yes", "--tell-refusal", verifier.link)
    prompt = tool.wait_for(r"\[(\w)r\]\? ")
    assert HOST in prompt
    tool.type("r\n")
    assert tool.wait() == 3, tool.text
    refused = verifier.said()["refused"]
    assert refused.pop("state")
    assert refused == {"error": "access_denied"}
