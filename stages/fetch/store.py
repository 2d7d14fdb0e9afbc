"""Answers of services kept by a string, so that nothing is asked twice, by whichever process and after any restart.

A file an answer, whole or not there. Processes share a store: whoever asks first holds a lock, the others wait for what
it gets.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pipeline.files import digest_bytes, write_bytes
from stages.fetch.client import Client, Request

_POLL_S = 0.02
_HERE, _ABSENT = b"+", b"-"


class Store:
    """Answers by key, in a folder.

    Args:
        folder: Made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> tuple[bool, bytes | None]:
        """Return whether an answer is known, and its body: None if the service said that there is nothing."""
        try:
            kept = self._path(key).read_bytes()
        except FileNotFoundError:
            return False, None
        return kept[:1] in (_HERE, _ABSENT), kept[1:] if kept[:1] == _HERE else None

    def put(self, key: str, body: bytes | None) -> None:
        """Keep an answer.

        Args:
            key: Names it; no part of it may be secret.
            body: The answer; None for the fact that there is nothing.
        """
        write_bytes(self._path(key), _ABSENT if body is None else _HERE + body)

    @asynccontextmanager
    async def claimed(self, key: str) -> AsyncIterator[None]:
        """Keep every other task and process from asking for a key meanwhile."""
        path = self._folder / "locks" / digest_bytes(key.encode())[:3]
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_POLL_S)
            yield
        finally:
            os.close(descriptor)

    def _path(self, key: str) -> Path:
        digest = digest_bytes(key.encode())
        return self._folder / digest[:2] / digest[2:40]


async def get_stored(store: Store, client: Client, key: str, request: Request[bytes]) -> bytes | None:
    """Return an answer from the store, or ask for it and keep it.

    Args:
        store: Where answers are kept.
        client: Sends the request.
        key: Of the answer.
        request: How to ask; its check returns the body that is worth keeping.

    Raises:
        TransientError: See `Client.get`.
        PermanentError: See `Client.get`.
    """
    known, body = store.get(key)
    if known:
        return body
    async with store.claimed(key):
        known, body = store.get(key)
        if not known:
            body = await client.get(request)
            store.put(key, body)
        return body
