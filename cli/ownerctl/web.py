"""HTTPS for `ownerctl open`, and for nothing else: one request, one answer, no conveniences.

What a link or a provider names is where this process connects to, so (numbered as in the code): 1. https to a
DNS name only; 2. every address of the name is public, unless the owner's configuration allows others, and the
connection goes to one that was looked at, so that no second look-up can answer differently; 3. TLS is checked
against the system's trust store, for the name; 4. a redirect is an error; 5. size and time are bounded, slow
drips included. There are no cookies, no proxies, no credentials, no compression and no retries. Bodies that
pass here are signed or sealed for others; none is logged.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from ownerctl.errors import CommandError
from ownerd.credential.request_checks import uri_host

MAX_BODY_BYTES: Final = 256 * 1024
CONNECT_SECONDS: Final = 10.0
WHOLE_SECONDS: Final = 20.0
USER_AGENT: Final = "ownerctl"
FORM: Final = "application/x-www-form-urlencoded"

_PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebTrouble(CommandError):
    """The provider's server cannot be reached, or does not keep to the rules above."""

    hint = "the provider's server is at fault, or the link is old; ask the provider for a new one"


class Place(Struct, frozen=True):
    """Where an https URI leads: lowercase DNS name, port, and path with query."""

    host: str
    port: int
    target: str

    @property
    def shown(self) -> str:
        """``host``, or ``host:port`` where the port is not 443."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


class Answer(Struct, frozen=True):
    """Status, media type in lowercase without its parameters, and the body."""

    status: int
    media_type: str
    body: bytes


def parse_place(uri: str, what: str) -> Place:
    """1. An https URI with a DNS name. Raises `InvalidArgument` naming ``what``."""
    host = uri_host(uri, what)
    parts = urlsplit(uri)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(host, parts.port or 443, target)


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, whatever way it is written in IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_link_local)


def proxy_variable() -> str | None:
    """Environment variable that asks for a proxy, if there is one; it is not followed."""
    return next((name for name in _PROXY_VARIABLES if os.environ.get(name)), None)


class _BoundedSocket(ssl.SSLSocket):
    """A TLS socket whose every wait ends at ``deadline``; a timeout alone starts anew with each byte."""

    deadline = 0.0

    def _leave(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        self._leave()
        return super().recv_into(*arguments, **named)

    def send(self, *arguments: Any, **named: Any) -> int:
        self._leave()
        return super().send(*arguments, **named)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()  # 3. the system's trust store, the name checked
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _BoundedSocket
    return context


class _Connection(http.client.HTTPSConnection):
    """Connects to addresses that were looked at; name and certificate stay those of the host."""

    def __init__(self, place: Place, addresses: list[Address], deadline: float) -> None:
        self._tls = _context()
        super().__init__(place.host, place.port, context=self._tls)
        self._addresses = addresses
        self._deadline = deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, CONNECT_SECONDS)

    def connect(self) -> None:
        raw = self._reach()
        try:
            raw.settimeout(self._left())
            wrapped = self._tls.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise
        assert isinstance(wrapped, _BoundedSocket)
        wrapped.deadline = self._deadline
        self.sock = wrapped

    def _reach(self) -> socket.socket:
        failure: OSError | None = None
        for address in self._addresses:
            try:
                return socket.create_connection((str(address), self.port), self._left())
            except OSError as error:
                failure = error
        assert failure is not None
        raise failure


Resolver = Callable[[str, int], list[Address]]


def resolve(host: str, port: int) -> list[Address]:
    """Every address of a name, in the system's order. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A scope (fe80::1%eth0) says link-local, which the address says as well.
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


class Web:
    """Sends one request at a time. ``allows_private``: addresses that are not public are taken too."""

    def __init__(
        self, *, allows_private: bool, resolver: Resolver = resolve, whole_seconds: float = WHOLE_SECONDS
    ) -> None:
        self._allows_private = allows_private
        self._resolver = resolver
        self._whole_seconds = whole_seconds

    def get(self, place: Place, *, accept: str) -> Answer:
        """Fetch. Raises `WebTrouble` for everything but an answer that is no redirect."""
        return self._exchange("GET", place, None, accept)

    def post(self, place: Place, form: Mapping[str, str], *, accept: str) -> Answer:
        """Send a form. Raises as `get`."""
        return self._exchange("POST", place, urlencode(form).encode("ascii"), accept)

    def _exchange(self, method: str, place: Place, body: bytes | None, accept: str) -> Answer:
        deadline = time.monotonic() + self._whole_seconds
        connection = _Connection(place, self._usable_addresses(place, deadline), deadline)
        headers = {"Accept": accept, "User-Agent": USER_AGENT, "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = FORM
        try:
            connection.request(method, place.target, body=body, headers=headers)
            return _read(connection.getresponse(), place)
        except ssl.SSLCertVerificationError as error:
            raise WebTrouble(f"the certificate of {place.shown} does not hold: {_reason(error)}") from error
        except TimeoutError as error:
            raise WebTrouble(f"{place.shown} takes too long to answer") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise WebTrouble(
                f"{place.shown} cannot be reached, or breaks off or garbles its answer"
            ) from error
        finally:
            connection.close()

    def _usable_addresses(self, place: Place, deadline: float) -> list[Address]:
        found = self._look_up(place, deadline)
        for address in found:
            if address.is_multicast or address.is_unspecified:
                raise WebTrouble(f"{place.host} has an address that nobody can connect to")
            if not self._allows_private and not is_public(address):  # 2. one is enough to refuse the name
                raise WebTrouble(
                    f"{place.host} leads to this computer or a private network, which no link may reach",
                    hint="for your own tests, set web_allow_private = true in config.toml",
                )
        return found

    def _look_up(self, place: Place, deadline: float) -> list[Address]:
        """In a thread: the system's look-up takes no time limit."""
        found: list[Address] = []

        def work() -> None:
            try:
                found.extend(self._resolver(place.host, place.port))
            except (OSError, ValueError):
                found.clear()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(max(0.0, min(CONNECT_SECONDS, deadline - time.monotonic())))
        if thread.is_alive() or not found:
            raise WebTrouble(f"the name {place.host} has no address", hint="are you online?")
        return list(found)


def _read(response: http.client.HTTPResponse, place: Place) -> Answer:
    if 300 <= response.status < 400:  # 4.
        raise WebTrouble(f"{place.shown} answers with a redirect ({response.status}), which is not followed")
    if (response.getheader("Content-Encoding") or "identity").strip().lower() != "identity":
        raise WebTrouble(f"{place.shown} answers in an encoding that was not asked for")
    body = response.read(MAX_BODY_BYTES + 1)  # 5.
    if len(body) > MAX_BODY_BYTES:
        raise WebTrouble(f"{place.shown} answers with more than {MAX_BODY_BYTES} bytes")
    if response.length:  # a body shorter than announced is not the one that was sent
        raise WebTrouble(f"{place.shown} breaks its answer off")
    media_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    return Answer(response.status, media_type, body)


def _reason(error: ssl.SSLCertVerificationError) -> str:
    """OpenSSL's words, which hold no text of the peer but the names that it compared."""
    return str(error.verify_message or "unknown reason")
