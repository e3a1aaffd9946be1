"""Which hosts the owner agreed to contact. Any web page can start the link handler, so the owner says first.

A host is shown as it stands in DNS, in ASCII: what looks like a known name and is another shows as ``xn--``.
"""

from __future__ import annotations

from ownerctl import render
from ownerctl.web import Place
from ownerd.model.errors import Dismissed

_PUNYCODE = "xn--"
_FLAG = (
    "beware: parts that begin with xn-- stand for letters outside ASCII; the name may imitate one you know"
)


def is_punycode(host: str) -> bool:
    """Whether a label of ``host`` stands for letters outside ASCII."""
    return any(label.startswith(_PUNYCODE) for label in host.split("."))


class Hosts:
    """Agreed hosts, with their ports; each is asked for once.

    ``named``: hosts that the command line agrees to, with a port where it is not 443. ``agrees``: all of them.
    ``asks``: whether somebody can be asked.
    """

    def __init__(self, named: tuple[str, ...], *, agrees: bool, asks: bool) -> None:
        self._agreed = {host.lower() for host in named}
        self._agrees = agrees
        self._asks = asks

    def require(self, place: Place, purpose: str) -> None:
        """Go on only with the owner's consent to contact ``place``; ``purpose`` is why, in a few words.

        Raises `Dismissed` when the owner says no, and `UsageTrouble` when nobody can be asked.
        """
        from ownerctl.errors import UsageTrouble
        from ownerctl.questions import agree

        if place.shown in self._agreed:
            return
        if not self._agrees and not self._asks:
            raise UsageTrouble(
                f"nobody is there to agree to {place.shown}", hint=f"--host {place.shown} agrees to it"
            )
        render.note(f"{purpose}: {place.shown}")
        if is_punycode(place.host):
            render.note(_FLAG)
        if not self._agrees and not agree(f"contact {place.shown}?", default=False):
            raise Dismissed("the host was not agreed to")
        self._agreed.add(place.shown)
