"""Row 7: a query of fifty claims, from its bytes to the offer, and the negotiation alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Final

from demo import provider_kit as kit

from bench.measure import Row, Scale, medians, timed
from bench.rig import RESPONSE_URI
from ownerd.core.negotiation import negotiate
from ownerd.credential.request_object import read_request
from ownerd.model.claim import Claim

CLAIMS: Final = 50
TIMES: Final = 20
TODAY: Final = date(2026, 11, 23)


def rows(scale: Scale) -> Iterator[Row]:
    """All fifty are there, among as many that are not asked for."""
    names = [f"claim_{number}" for number in range(CLAIMS)]
    time = "2026-11-23T14:00:00.123Z"
    catalogue = {
        name: Claim(name, "value", "bench", time, 1) for name in [*names, *(f"other_{one}" for one in names)]
    }
    text = kit.unsigned_request(
        kit.parameters(f"redirect_uri:{RESPONSE_URI}", RESPONSE_URI, names, kit.new_encryption_key())
    )
    request = read_request(text, anchors=[], now_ms=0)
    assert len(negotiate(request, catalogue, today=TODAY).claims) == CLAIMS

    def whole() -> None:
        negotiate(read_request(text, anchors=[], now_ms=0), catalogue, today=TODAY)

    found = medians(
        {
            "negotiate": lambda: timed(lambda: negotiate(request, catalogue, today=TODAY), times=TIMES),
            "look-ups": lambda: timed(lambda: [catalogue.get(name) for name in names], times=TIMES),
            "whole": lambda: timed(whole, times=TIMES),
            "json": lambda: timed(lambda: json.loads(text), times=TIMES),
        },
        scale.rounds(100),
    )
    what = f"negotiate {CLAIMS} claims"
    yield Row("negotiate-50", what, f"{CLAIMS} look-ups in a dict", found["negotiate"], found["look-ups"])
    what = f"read a request of {CLAIMS} claims and negotiate"
    yield Row("request-50", what, "json.loads of the same text", found["whole"], found["json"])
