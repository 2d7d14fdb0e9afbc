"""The client for synchronous code: one connection pool for many requests, one request at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from pipeline.unit_progress import current_progress
from stages.fetch.client import Client, RateLimits, Request
from stages.fetch.credentials import Credentials
from stages.fetch.reach import Reach

T = TypeVar("T")


class BlockingClient:
    """A context manager that sends requests and waits for their responses. Not for use in a running event loop.

    Args:
        folder: Where the rate limiters of the run keep their state.
        rate_limits: Limits towards each host.
        reach: Which hosts may be connected to.
        credentials: What one of the hosts is sent with every request that has none of its own.
    """

    def __init__(
        self, folder: Path, rate_limits: RateLimits, reach: Reach, credentials: Credentials | None = None
    ) -> None:
        self._client = Client(folder, rate_limits, reach, waits=current_progress().waits)
        self.credentials = credentials

    def __enter__(self) -> BlockingClient:
        self._runner = asyncio.Runner()
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._client.__aexit__(None, None, None))
        finally:
            self._runner.close()

    def get(self, request: Request[T]) -> T | None:
        """Send a request until there is a valid response; see `Client.get`."""
        known: Request[T] = replace(request, credentials=request.credentials or self.credentials)
        response = self._client.get(known)
        return self._runner.run(response)
