"""One server a workspace: the lock, which names who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.workspace import now
from raster.strict_json import JsonError, parse_json
from review.errors import ReviewError


@contextmanager
def hold(folder: Path, address: str, operator: str) -> Iterator[None]:
    """Hold the review folder of a workspace.

    Args:
        folder: The folder, made if missing.
        address: Where the page is served, for whoever comes second.
        operator: Who started the server.

    Raises:
        ReviewError: Another server holds it; the message names process, host and address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            held = {"pid": "unknown", "host": "unknown", "since": "just now", "address": "unknown", "operator": ""}
            with suppress(JsonError, TypeError):
                held |= parse_json(file.read())
            raise ReviewError(
                f"{folder.parent} is being reviewed already by {held['operator'] or 'somebody'} (process {held['pid']} "
                f"on {held['host']}, since {held['since']}, at {held['address']}). Ask them for an invitation, which "
                "the page makes, or stop that process; --read-only looks without writing."
            ) from None
        file.truncate(0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now()}
        os.write(file.fileno(), json.dumps(holder | {"address": address, "operator": operator}).encode())
        yield
