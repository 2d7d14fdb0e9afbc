"""Asking a service over HTTP: one limiter a host, answers checked on arrival, retries only of what may pass."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp
import stamina
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import PermanentError, TransientError
from stages.fetch.rate_limiter import RateLimiter
from stages.fetch.responses import InvalidResponse, UnsafeResponse

T = TypeVar("T")
_MAX_REDIRECTS = 3
_MAX_RETRY_AFTER_S = 3600.0
_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524})


class RateLimits(BaseModel):
    """How to behave towards a host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_second: float | None = Field(
        default=4.0, gt=0, description="Rate to one host, over all workers; null: no limit."
    )
    concurrent: int = Field(default=4, ge=1, le=64, description="Requests to one host under way, over all workers.")
    timeout_s: float = Field(
        default=30.0, gt=0, description="Longest silence, and a fourth of the longest time, of one answer."
    )
    attempts: int = Field(default=8, ge=1, description="Times a thing is asked for before the engine takes over.")
    wait_s: float = Field(default=0.5, ge=0, description="First wait between attempts; doubles each time, with jitter.")
    contact: str = Field(
        default="", description="Mail address or page that the User-Agent names, so that a service can reach you."
    )


def _never(body: bytes) -> bool:
    return False


@dataclass(frozen=True)
class Request(Generic[T]):
    """Something to ask for. `label` names it in messages (never the URL, which may hold a key)."""

    url: str
    label: str
    check: Callable[[bytes], T]
    max_bytes: int = 8 << 20
    absent_statuses: frozenset[int] = frozenset({204, 404, 410})
    headers: Mapping[str, str] = field(default_factory=dict)
    is_absence: Callable[[bytes], bool] = _never


class _Retryable(Exception):
    """A failed attempt worth another."""


class Client:
    """An async context manager that asks politely.

    `get` returns what the request's check made of the body, or None if the service says that there is nothing, which is
    a fact. It raises `TransientError` when the host stays unwell for all attempts, `PermanentError` for what asking
    again cannot mend: a refusal (401, 403), another client error, a hostile answer. No message holds a URL.
    """

    def __init__(self, folder: Path, rate_limits: RateLimits) -> None:
        self._folder = folder
        self._rate_limits = rate_limits
        self._limiters: dict[str, RateLimiter] = {}

    async def __aenter__(self) -> Client:
        silence = self._rate_limits.timeout_s
        contact = f" ({self._rate_limits.contact})" if self._rate_limits.contact else ""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=4 * silence, sock_connect=silence, sock_read=silence),
            headers={"User-Agent": f"mapdata/0.1{contact}", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0),
        )
        # After a reset aiohttp would ask again by itself, past the limiter.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, request: Request[T]) -> T | None:
        """Ask until there is a good answer; see the class for what is returned and raised."""
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
                with attempt:
                    body = await self._request_once(request)
                    if body is None:
                        return None
                    if request.is_absence(body):
                        # A service in trouble shows its 'no imagery' picture too: believed when it says so twice.
                        absences += 1
                        if absences < 2:
                            raise _Retryable("its 'no imagery' picture")
                        return None
                    try:
                        return request.check(body)
                    except InvalidResponse as error:
                        raise _Retryable(str(error)) from error
        except _Retryable as error:
            raise TransientError(
                f"{request.label}: asked {self._rate_limits.attempts} times, last answer: {error}. "
                "Nothing that was fetched is lost: run again when the service is well."
            ) from None
        except UnsafeResponse as error:
            raise PermanentError(f"{request.label}: refused {error}; check the provider's URL template") from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _request_once(self, request: Request[T]) -> bytes | None:
        """Return the body of one answer, following redirects within the host; None if there is nothing."""
        url = request.url
        for _ in range(_MAX_REDIRECTS + 1):
            limiter = self._limiter(url)
            async with limiter.slot():
                try:
                    async with self._session.get(url, headers=request.headers, allow_redirects=False) as response:
                        target = response.headers.get("Location") if 300 <= response.status < 400 else None
                        if target is None:
                            body = await self._read_response(request, response, limiter)
                            limiter.succeeded()
                            return body
                except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                    limiter.failed()
                    raise _Retryable(type(error).__name__) from None
            url = _redirected(url, target)
        raise UnsafeResponse(f"more than {_MAX_REDIRECTS} redirects")

    async def _read_response(
        self, request: Request[T], response: aiohttp.ClientResponse, limiter: RateLimiter
    ) -> bytes | None:
        status = response.status
        if status in request.absent_statuses:
            return None
        if status in _TRANSIENT_STATUSES:
            wait = _retry_after(response.headers.get("Retry-After"))
            if wait is not None:
                limiter.pause(wait)
            else:
                limiter.failed()
            raise _Retryable(f"status {status}")
        if status in (401, 403):
            raise PermanentError(f"{request.label}: the service refuses (status {status}); check the key and its terms")
        if status not in (200, 206):
            raise PermanentError(f"{request.label}: the service answers with status {status}; check the URL template")
        _refuse_hostile_headers(response)
        return await _read_bounded(response, request.max_bytes)

    def _limiter(self, url: str) -> RateLimiter:
        host = urlsplit(url).netloc.rpartition("@")[2]
        if host not in self._limiters:
            p = self._rate_limits
            self._limiters[host] = RateLimiter(self._folder, host, p.requests_per_second, p.concurrent)
        return self._limiters[host]


async def _read_bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read a body of at most `most` bytes, whole."""
    due = response.content_length
    if due is not None and due > most:
        raise UnsafeResponse(f"a body of {due} bytes where at most {most} were due")
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > most:
            raise UnsafeResponse(f"a body of more than {most} bytes")
    if due is not None and len(body) != due:
        raise _Retryable(f"{len(body)} bytes of {due}")
    return bytes(body)


def _refuse_hostile_headers(response: aiohttp.ClientResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise UnsafeResponse(f"a body packed as {encoding!r} though none was asked for")
    disposition = response.headers.get("Content-Disposition", "")
    if any(mark in disposition.partition("filename")[2] for mark in ("/", "\\", "..")):
        raise UnsafeResponse("a file name with a path in its Content-Disposition")


def _redirected(url: str, target: str) -> str:
    """Return the target of a redirect within the same host; raise `UnsafeResponse` for any other."""
    new = urljoin(url, target)
    old_parts, new_parts = urlsplit(url), urlsplit(new)
    if new_parts.scheme not in ("http", "https"):
        raise UnsafeResponse(f"a redirect to {new_parts.scheme}:")
    if new_parts.hostname != old_parts.hostname or (old_parts.scheme, new_parts.scheme) == ("https", "http"):
        raise UnsafeResponse(f"a redirect from {old_parts.hostname} to {new_parts.scheme}://{new_parts.hostname}")
    if new_parts.port != old_parts.port and (old_parts.scheme, new_parts.scheme) != ("http", "https"):
        raise UnsafeResponse(f"a redirect to port {new_parts.port} of {new_parts.hostname}")
    return new


def _retry_after(value: str | None) -> float | None:
    """Return the seconds (at most an hour) that a `Retry-After` header asks for, given in seconds or as a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S)


async def get_all(client: Client, requests: list[Request[T]], at_once: int) -> list[T | None]:
    """Return the answers in the order of the requests, `at_once` under way; the first error ends them and is raised."""
    limit = asyncio.Semaphore(at_once)

    async def one(request: Request[T]) -> T | None:
        async with limit:
            return await client.get(request)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(request)) for request in requests]
    except* (PermanentError, TransientError) as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
