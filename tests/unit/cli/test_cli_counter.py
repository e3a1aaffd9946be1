"""What the tool believes of a counter-offer."""

from __future__ import annotations

from typing import Any

import pytest

from ownerctl.bargain import Wishes, read_counter
from ownerctl.errors import BadAnswer

OFFERED = {"negotiation": "n-1", "offer": '{"v":1,"round":2}', "entry": 8}


def test_a_counter_offer_is_read() -> None:
    counter = read_counter(OFFERED)
    assert (counter.negotiation, counter.entry, counter.offer) == ("n-1", 8, {"v": 1, "round": 2})


@pytest.mark.parametrize(
    "odd",
    [
        {"negotiation": 7},
        {"negotiation": None},
        {"offer": None},
        {"offer": "[]"},
        {"offer": "{"},
        {"offer": '{"a":1,"a":2}'},
        {"offer": '{"a":"' + "x" * (1 << 18) + '"}'},
    ],
)
def test_anything_else_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        read_counter({**OFFERED, **odd})


def test_to_accept_is_to_negotiate() -> None:
    assert Wishes().options() == {}
    assert Wishes(accepts=True).options() == Wishes(negotiates=True).options() == {"negotiate": True}
    assert Wishes(asks=True).options() == {"ask": True}
