"""HTTP requests within the rate limits of their hosts; responses are checked, transient failures are repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp
import stamina
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import PermanentError, TransientError
from stages.fetch.credentials import Credentials
from stages.fetch.encodings import decoded
from stages.fetch.headers import MAX_RETRY_AFTER_S, redirected, retry_after
from stages.fetch.rate_limiter import RateLimiter
from stages.fetch.reach import PublicResolver, Reach
from stages.fetch.responses import InvalidResponse, UnsafeResponse

T = TypeVar("T")
_MAX_REDIRECTS = 3
_CONFIRMATIONS = 2
"""Responses in a row that must say 'there is nothing here': a service in trouble says so, too."""
_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524})


class RateLimits(BaseModel):
    """Limits on the requests to one host. They hold over all workers of a run together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_second: float | None = Field(
        default=4.0, gt=0, description="Rate to one host, over all workers; null: no limit."
    )
    concurrent: int = Field(
        default=4, ge=1, le=64, description="Requests to one host in progress at once, over all workers."
    )
    timeout_s: float = Field(
        default=30.0, gt=0, description="Longest silence, and a fourth of the longest time, of one response in seconds."
    )
    attempts: int = Field(default=8, ge=1, description="Times a request is sent before it fails as transient.")
    wait_s: float = Field(
        default=0.5, ge=0, description="First wait between attempts in seconds; doubles each time, with jitter."
    )
    bytes_per_second: float | None = Field(
        default=None, gt=0, description="Bytes received from one host, over all workers; null: no limit."
    )
    contact: str = Field(
        default="", description="Mail address or page that the User-Agent names, so that a service can reach you."
    )


@dataclass(frozen=True)
class Response:
    """A valid HTTP response: its status (200 or 206), its body, unpacked, and its headers."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def _never(body: bytes) -> bool:
    return False


def _no_wait(response: Response) -> float | None:
    return None


@dataclass(frozen=True)
class Request(Generic[T]):
    """A request and how to check its response.

    Attributes:
        url: Address, which may hold a key: it is neither logged nor part of a message.
        label: Names the request in messages.
        check: Makes the result of a response; raises `InvalidResponse` if it is not what was asked for.
        max_bytes: Greatest size of a body, unpacked.
        absent_statuses: HTTP statuses that say that there is nothing at this address.
        headers: Further request headers.
        is_absence: Tells whether a body says that there is nothing, such as a 'no imagery' picture.
        asks_to_wait: Returns for how many seconds a response with a good status asks to send nothing, as services do
            that report their load in the body; None for a response that is an answer.
        credentials: What one host is sent with the request, and after redirects no other; None for nothing.
        redirect_hosts: Hosts, with their port unless it is the usual one, to which a redirect may lead besides its own.
        confirmations: Responses in a row that must say that there is nothing.
    """

    url: str
    label: str
    check: Callable[[Response], T]
    max_bytes: int = 8 << 20
    absent_statuses: frozenset[int] = frozenset({204, 404, 410})
    headers: Mapping[str, str] = field(default_factory=dict)
    is_absence: Callable[[bytes], bool] = _never
    asks_to_wait: Callable[[Response], float | None] = _no_wait
    credentials: Credentials | None = None
    redirect_hosts: frozenset[str] = frozenset()
    confirmations: int = _CONFIRMATIONS


class UnsafeError(PermanentError):
    """A response that is never accepted, such as a redirect to a foreign host: of this address, not of the service."""


class _Retryable(Exception):
    """A failed attempt that may succeed when it is repeated."""


class Client:
    """An asynchronous context manager that sends requests within the rate limits of their hosts.

    Args:
        folder: Where the rate limiters of the run keep their state.
        rate_limits: Limits towards each host.
        reach: Which hosts may be connected to; every host by default, for addresses that the user gave.
        share: Names one rate limiter for all hosts together, of a service that counts them so; by default each host
            has its own.
        waits: Is told of every failed attempt: which host is waited for, and why.
    """

    def __init__(
        self,
        folder: Path,
        rate_limits: RateLimits,
        reach: Reach | None = None,
        share: str = "",
        waits: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._folder = folder
        self._rate_limits = rate_limits
        self._reach = reach
        self._share = share
        self._waits = waits
        self._limiters: dict[str, RateLimiter] = {}

    async def __aenter__(self) -> Client:
        silence = self._rate_limits.timeout_s
        contact = f" ({self._rate_limits.contact})" if self._rate_limits.contact else ""
        resolver = PublicResolver(self._reach) if self._reach else None
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=4 * silence, sock_connect=silence, sock_read=silence),
            headers={"User-Agent": f"mapdata/0.1{contact}", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0, resolver=resolver, use_dns_cache=resolver is None),
        )
        # After a reset aiohttp would repeat the request by itself, past the rate limiter.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, request: Request[T]) -> T | None:
        """Send a request until there is a valid response.

        Args:
            request: What to ask for.

        Returns:
            What the request's check made of the response; None if the service says twice that there is nothing.

        Raises:
            TransientError: All attempts failed in ways that may pass.
            PermanentError: Repeating cannot help: a refusal (401, 403), another client error, an invalid certificate,
                an unsafe response, a picture format that is not supported. No message holds a URL.
        """
        absences = 0
        try:
            async for attempt in stamina.retry_context(
                on=_Retryable,
                attempts=self._rate_limits.attempts,
                timeout=None,
                wait_initial=self._rate_limits.wait_s,
                wait_max=60.0,
                wait_jitter=self._rate_limits.wait_s,
            ):
                with attempt, self._told(request, attempt.num):
                    response = await self._send(request)
                    if response is None or request.is_absence(response.body):
                        absences += 1
                        if absences < min(request.confirmations, self._rate_limits.attempts):
                            raise _Retryable("that there is nothing, once")
                        return None
                    absences = 0
                    try:
                        return request.check(response)
                    except InvalidResponse as error:
                        raise _Retryable(str(error)) from error
        except _Retryable as error:
            raise TransientError(
                f"{request.label}: requested {self._rate_limits.attempts} times, last response: {error}. "
                "Nothing that was fetched is lost: run again when the service works."
            ) from None
        except UnsafeResponse as error:
            raise UnsafeError(f"{request.label}: refused {error}; check the address of the source") from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def _told(self, request: Request[T], number: int) -> Iterator[None]:
        """Tell `waits` why an attempt failed, and for how long the host gets no request."""
        try:
            yield
        except _Retryable as error:
            host = _host(request.url)
            paused = self._limiter(request.url).paused_seconds()
            pause = f", no request for {paused:.0f} s" if paused >= 1 else ""
            self._waits(f"waits for {host}: {error}, attempt {number} of {self._rate_limits.attempts}{pause}")
            raise

    async def _send(self, request: Request[T]) -> Response | None:
        """Return one response, following the redirects that are allowed; None if it says that there is nothing."""
        url = request.url
        for _ in range(_MAX_REDIRECTS + 1):
            if self._reach:
                self._reach.check_url(url)
            limiter = self._limiter(url)
            sent, keys = request.credentials.added(url) if request.credentials else (url, {})
            async with limiter.slot():
                try:
                    headers = {**request.headers, **keys}
                    async with self._session.get(sent, headers=headers, allow_redirects=False) as response:
                        target = response.headers.get("Location") if 300 <= response.status < 400 else None
                        if target is None:
                            valid = await self._read(request, response, limiter)
                            limiter.succeeded()
                            return valid
                except aiohttp.InvalidURL:
                    raise UnsafeResponse("an address that is malformed") from None
                except aiohttp.ClientSSLError as error:
                    raise PermanentError(
                        f"{request.label}: no trusted TLS connection to {_host(url)} "
                        f"({_tls_problem(error)}); check the host's certificate and this machine's clock"
                    ) from None
                except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                    limiter.failed()
                    raise _Retryable(type(error).__name__) from None
            url = redirected(url, target, request.redirect_hosts)
        raise UnsafeResponse(f"more than {_MAX_REDIRECTS} redirects")

    async def _read(
        self, request: Request[T], response: aiohttp.ClientResponse, limiter: RateLimiter
    ) -> Response | None:
        status = response.status
        if status in request.absent_statuses:
            return None
        if status in _TRANSIENT_STATUSES:
            wait = retry_after(response.headers.get("Retry-After"))
            if wait is not None:
                limiter.pause(wait)
            else:
                limiter.failed()
            raise _Retryable(f"status {status}")
        if status in (401, 403):
            raise PermanentError(f"{request.label}: the service refuses (status {status}); check the key and its terms")
        if status not in (200, 206):
            raise PermanentError(
                f"{request.label}: the service responds with status {status}; check the address of the source"
            )
        if status == 206 and "Range" not in request.headers:
            raise _Retryable("a part of a body, which nobody asked for")
        _refuse_path_in_file_name(response)
        packed = await _read_bounded(response, request.max_bytes, limiter)
        try:
            body = decoded(packed, response.headers.get("Content-Encoding", ""), request.max_bytes)
        except InvalidResponse as error:
            raise _Retryable(str(error)) from error
        answer = Response(status, body, response.headers)
        seconds = request.asks_to_wait(answer)
        if seconds is not None:
            limiter.pause(min(max(seconds, 0.0), MAX_RETRY_AFTER_S))
            raise _Retryable(f"that it wants nothing for {seconds:g} s")
        return answer

    def _limiter(self, url: str) -> RateLimiter:
        host = self._share or _host(url)
        if host not in self._limiters:
            limits = self._rate_limits
            self._limiters[host] = RateLimiter(
                self._folder, host, limits.requests_per_second, limits.concurrent, bytes_rate=limits.bytes_per_second
            )
        return self._limiters[host]


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _tls_problem(error: aiohttp.ClientSSLError) -> str:
    """Return what is wrong with a connection, such as 'self-signed certificate'."""
    cause = getattr(error, "certificate_error", None) or error.__cause__ or error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or type(cause).__name__)


async def _read_bounded(response: aiohttp.ClientResponse, limit: int, limiter: RateLimiter) -> bytes:
    """Read a body of at most `limit` bytes, whole, as fast as the limiter allows."""
    expected = response.content_length
    if expected is not None and expected > limit:
        raise UnsafeResponse(f"a body of {expected} bytes where at most {limit} are allowed")
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > limit:
            raise UnsafeResponse(f"a body of more than {limit} bytes")
        await limiter.received(len(chunk))
    if expected is not None and len(body) != expected:
        raise _Retryable(f"{len(body)} bytes of {expected}")
    return bytes(body)


def _refuse_path_in_file_name(response: aiohttp.ClientResponse) -> None:
    disposition = response.headers.get("Content-Disposition", "")
    if any(mark in disposition.partition("filename")[2] for mark in ("/", "\\", "..")):
        raise UnsafeResponse("a file name with a path in its Content-Disposition")
