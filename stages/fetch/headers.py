"""What response headers ask of a client: where to go instead, and how long to wait."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Collection
from urllib.parse import urljoin, urlsplit

from stages.fetch.responses import UnsafeResponse

MAX_RETRY_AFTER_S = 3600.0
"""No service is waited for longer at once."""


def redirected(url: str, target: str, hosts: Collection[str] = ()) -> str:
    """Return the target of a redirect.

    Args:
        url: Address that redirects.
        target: Its header `Location`.
        hosts: Further hosts that it may lead to, with their port unless it is the usual one.

    Raises:
        UnsafeResponse: It leads to another host or port, or away from TLS.
    """
    try:
        new = urljoin(url, target)
        old_parts, new_parts = urlsplit(url), urlsplit(new)
        old_port, new_port = old_parts.port, new_parts.port
    except ValueError:
        raise UnsafeResponse("a redirect to a malformed address") from None
    if new_parts.scheme not in ("http", "https"):
        raise UnsafeResponse(f"a redirect to {new_parts.scheme}:")
    downgrade = (old_parts.scheme, new_parts.scheme) == ("https", "http")
    if new_parts.netloc.lower() in hosts and not downgrade:
        return new
    if new_parts.hostname != old_parts.hostname or downgrade:
        raise UnsafeResponse(f"a redirect from {old_parts.hostname} to {new_parts.scheme}://{new_parts.hostname}")
    if new_port != old_port and (old_parts.scheme, new_parts.scheme) != ("http", "https"):
        raise UnsafeResponse(f"a redirect to port {new_port} of {new_parts.hostname}")
    return new


def retry_after(value: str | None) -> float | None:
    """Return the seconds (at most an hour) that a `Retry-After` header asks for, given in seconds or as a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else None
