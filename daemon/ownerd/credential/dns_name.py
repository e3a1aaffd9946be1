"""DNS names as requests, certificates and policies have them: lowercase ASCII, so that what is compared is what is shown."""

from __future__ import annotations

import re

_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}", re.ASCII)


def is_dns_name(text: str) -> bool:
    """Whether ``text`` is a lowercase ASCII DNS name of two labels or more, and no IP address."""
    return _DNS_NAME.fullmatch(text) is not None
