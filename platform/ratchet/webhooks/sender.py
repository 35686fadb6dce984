"""Sends one signed request to an address that a user named, and to no machine of ours.

The name is looked up here and the connection is made to an address that was checked, so that no second answer of a name
server can lead it elsewhere. No redirect is followed and no proxy is used.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookupTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore2
from standardwebhooks.webhooks import Webhook as Signer

from ratchet import __version__
from ratchet.settings import Settings

TIMEOUT_S = 5.0
TOTAL_S = 15.0
"""For the whole of it: a receiver that answers byte by byte holds up nobody else."""
MAX_MESSAGE_CHARACTERS = 300
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_lookups = ThreadPoolExecutor(8, thread_name_prefix="webhook-dns")
"""The system's look-up has no time-out of its own."""


@dataclass(frozen=True)
class Message:
    id: str
    """The same at every attempt, by which a receiver knows a repetition."""
    url: str
    secrets: Sequence[str]
    body: bytes


@dataclass(frozen=True)
class Sent:
    """What became of it."""

    status_code: int | None
    """None when nothing was answered."""
    message: str
    duration_ms: int
    retry_after_s: float | None = None


class RefusedAddressError(OSError):
    """The address is one of ours, or of nobody."""


class Sender:
    """Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context()

    def send(self, message: Message) -> Sent:
        began = time.monotonic()
        why = refusal(message.url, self._settings)
        if why:
            return Sent(None, why, 0)
        status: int | None = None
        retry_after: float | None = None
        try:
            backend = _Backend(self._settings, began + TOTAL_S)
            timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
            sent: dict[str, Any] = {"headers": _headers(message), "content": message.body}
            with (
                httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
                pool.stream("POST", message.url, **sent, extensions={"timeout": timeouts}) as answer,
            ):
                status = answer.status
                retry_after = _retry_after(answer.headers)
            said = f"It answered {status}." if status < 300 or status >= 400 else f"It answered {status}: a redirect."
        except RefusedAddressError as error:
            said = str(error)
        except httpcore2.TimeoutException:
            said = f"It did not answer within {TIMEOUT_S:g} s."
        except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError, ValueError) as error:
            said = f"It can't be reached: {error}"
        return Sent(status, said[:MAX_MESSAGE_CHARACTERS], round((time.monotonic() - began) * 1000), retry_after)


def refusal(url: str, settings: Settings) -> str:
    """Why an address can't be used, as far as it says so itself; empty when it may be."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"This is no URL: {error}."
    if any(character.isspace() or not character.isprintable() for character in url) or not url.isascii():
        return "A URL has no spaces, and letters beyond ASCII are written as %XX or xn--."
    allowed = ("https", "http") if settings.webhook_allow_http else ("https",)
    if parts.scheme not in allowed:
        return f"The URL must begin with {' or '.join(f'{each}://' for each in allowed)}."
    if not host or port == 0:
        return "The URL names no host."
    if parts.username is not None or parts.password is not None:
        return "A URL with a name or a password in it would be kept and logged: the signature says who sends."
    if parts.fragment:
        return "A URL with a # in it can't be sent to."
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    return "" if permitted(address, settings) else f"{address} is not on the public internet."


def permitted(address: Address, settings: Settings) -> bool:
    """Whether a connection may be made: to the public internet, and to what the settings add."""
    real = _embedded(address)
    if any(network.version == real.version and real in network for network in settings.webhook_allowed_networks):
        return True
    return real.is_global and not (real.is_multicast or real.is_reserved or real.is_unspecified or real.is_loopback)


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to, when it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _headers(message: Message) -> list[tuple[str, str]]:
    moment = datetime.now(UTC)
    text = message.body.decode()
    signatures = [Signer(secret).sign(message.id, moment, text) for secret in message.secrets]
    return [
        ("Host", urlsplit(message.url).netloc),
        ("Content-Type", "application/cloudevents+json"),
        ("Content-Length", str(len(message.body))),
        ("User-Agent", f"ratchet/{__version__}"),
        ("webhook-id", message.id),
        ("webhook-timestamp", str(int(moment.timestamp()))),
        ("webhook-signature", " ".join(signatures)),
    ]


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    text = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return float(text) if text.isdigit() and len(text) < 8 else None


class _Backend(httpcore2.NetworkBackend):
    """Connects to addresses that were checked, and to no other."""

    def __init__(self, settings: Settings, deadline: float) -> None:
        self._settings = settings
        self._deadline = deadline
        self._real = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = self._look_up(host, port)
        refused = [address for address in addresses if not permitted(address, self._settings)]
        if refused or not addresses:  # one that is ours among them is reason enough
            raise RefusedAddressError(f"{host} is {refused[0] if refused else 'nowhere'}: not on the public internet.")
        stream = self._real.connect_tcp(str(addresses[0]), port, timeout=min(timeout or TIMEOUT_S, TIMEOUT_S))
        return _Stream(stream, self._deadline)

    def _look_up(self, host: str, port: int) -> list[Address]:
        try:
            found = _lookups.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM).result(TIMEOUT_S)
        except LookupTimeoutError as error:
            raise httpcore2.ConnectTimeout(f"the name {host} was not found within {TIMEOUT_S:g} s") from error
        return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]


class _Stream(httpcore2.NetworkStream):
    """A connection with an end in time."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def _left(self, timeout: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the receiver is too slow")
        return min(left, TIMEOUT_S if timeout is None else timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._left(timeout))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
