"""Whether a service that is asked for much could reach the one who asks."""

from __future__ import annotations

import ipaddress
import re

from stages.fetch.client import RateLimits

PLACEHOLDER = re.compile(
    r"<[^>]*>|\b(?:your|change|replace|todo|fixme|xxx+)\b|your[_-]|change[_-]?me|@example\.|\bexample\.(?:org|com|net)\b",
    re.IGNORECASE,
)
"""What stands in an example for a value of one's own."""


def contact_problems(limits: RateLimits, host: str) -> list[str]:
    """Return what is wrong with the contact that requests to a host carry.

    Args:
        limits: Of the source, whose contact it is.
        host: Name of the host, without port.

    Returns:
        At most one problem; none for a host of the own machine or network, whose owner knows.
    """
    if _is_own(host):
        return []
    if not limits.contact.strip():
        return [
            "rate_limits.contact: is empty; give a mail address or page, so that the service can reach you instead of "
            "shutting you out"
        ]
    if PLACEHOLDER.search(limits.contact):
        return [f"rate_limits.contact: {limits.contact!r} is a placeholder; give a mail address or page of your own"]
    return []


def _is_own(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local")):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host
