"""Which hosts a document from the network may refer to.

A catalog names further addresses. Without a limit, a stranger's catalog could make this machine read its own network:
services on loopback, private and link-local addresses such as a cloud's metadata service.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from contextlib import suppress

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from stages.fetch.responses import UnsafeResponse

_SITE_LOCAL = ipaddress.ip_network("fec0::/10")
_HOLDING_IPV4 = [
    ipaddress.ip_network(net) for net in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
]
"""Networks whose addresses end with an IPv4 address: compatible, mapped, translated (RFC 2765, 6052, 8215)."""


class Reach:
    """The hosts that may be connected to: those with public addresses, and those that the user named.

    Args:
        allowed: Hosts ("10.0.0.5") or hosts with ports ("tiles.local:8080") that may have addresses of any kind.
    """

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = {host.lower() for host in allowed}

    def allows(self, host: str, port: int | None) -> bool:
        """Tell whether the user named a host, so that its address does not matter.

        Args:
            host: Name or address.
            port: The port.

        Returns:
            True if the user named it.
        """
        return host.lower() in self._allowed or f"{host}:{port}".lower() in self._allowed

    def check_url(self, url: str) -> None:
        """Raise `UnsafeResponse` if a URL is not of the web or names a host by an address that is not public."""
        try:
            parts = URL(url)  # as the client reads it that connects: "①②⑦.⓪.⓪.①" is an address to it, not a name
            host, port = (parts.raw_host or "").rstrip("."), parts.port
        except ValueError:
            raise UnsafeResponse("an address that is malformed") from None
        if parts.scheme not in ("http", "https") or not host:
            raise UnsafeResponse(f"an address of the kind {parts.scheme or 'file'}:, from a document of the network")
        with suppress(ValueError):  # raised for a name: the resolver checks the address that it stands for
            self.check_address(host, port or 0, host)

    def check_address(self, host: str, port: int, address: str) -> None:
        """Raise `UnsafeResponse` if a host's address is not public and the user did not name the host.

        Args:
            host: Name or address, as the URL has it: what the user may have named.
            port: The port, 0 if the URL's scheme has none.
            address: The IP address that the host stands for. An IPv6 address that holds an IPv4 address (mapped,
                compatible, 6to4, of a translator) is judged by the latter; a zone such as "%eth0" does not count.

        Raises:
            UnsafeResponse: The address is loopback, private, link-local, multicast or reserved.
            ValueError: `address` is not an IP address.
        """
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = _held_address(parsed)
        local = not parsed.is_global or parsed.is_multicast or parsed in _SITE_LOCAL
        if local and not self.allows(host, port):
            raise UnsafeResponse(
                f"a reference to {host}:{port}, which is not a public address; if it is meant, name the host in "
                "the source's field `allowed_hosts`"
            )


def _held_address(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 address holds, or the very address."""
    if any(address in network for network in _HOLDING_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or address


class PublicResolver(AbstractResolver):
    """Resolves names as the system does, and refuses those that stand for addresses out of reach.

    The check happens where the connection is made, so that a name cannot change its address after the check.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._resolver = ThreadedResolver(loop=asyncio.get_running_loop())

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises `UnsafeResponse` if one of them is out of reach.

        Args:
            host: Name of the host.
            port: Where a connection is to be made; the user may have allowed the host at one port only.
            family: Which addresses are asked for: IPv4, IPv6, or both by `AF_UNSPEC`.
        """
        results = await self._resolver.resolve(host, port, family)
        for result in results:
            self._reach.check_address(host, port, result["host"])
        return results

    async def close(self) -> None:
        """Release the resolver."""
        await self._resolver.close()
