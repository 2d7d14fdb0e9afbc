"""A user's key for one host: sent with requests to it, and to no other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pipeline.errors import PermanentError

PLACE = "{key}"
"""What an address has in place of a key."""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Credentials:
    """What a host wants to be sent. Neither is part of a message, of `repr` included.

    Attributes:
        origin: Address of the host: scheme, name and port count.
        query: Parameters of the query.
        headers: Request headers.
        path: What `{key}` in the path of an address stands for; empty where no path has one.
    """

    origin: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    path: str = field(default="", repr=False)

    def added(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Return a URL and headers with the credentials, or without where the URL is of another host.

        Args:
            url: Address of a request.

        Returns:
            The address to send the request to, and further headers.
        """
        if not self._applies(url):
            return url, {}
        if self.path:
            parts = urlsplit(url)
            url = parts._replace(path=parts.path.replace(PLACE, quote(self.path, safe=""))).geturl()
        parts = urlsplit(url)
        # A service's links may repeat the key that it was sent.
        kept = [
            (name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in self.query
        ]
        if not self.query:
            return url, self.headers
        return parts._replace(query=urlencode([*kept, *self.query.items()])).geturl(), self.headers

    def hidden(self, url: str) -> str:
        """Return a URL with `{key}` in place of the key in its path: a service's links repeat what it was asked for.

        Args:
            url: Address that a document of the service gives.

        Returns:
            An address that `added` completes, and that may be told and kept.
        """
        if not self.path or not self._applies(url):
            return url
        parts = urlsplit(url)
        segments = [PLACE if unquote(each) == self.path else each for each in parts.path.split("/")]
        return parts._replace(path="/".join(segments)).geturl()

    def _applies(self, url: str) -> bool:
        """Tell whether a URL is of the host, or of its default port by TLS, which a redirect may lead to."""
        own, other = urlsplit(self.origin), urlsplit(url)
        if own.hostname != other.hostname:
            return False
        if own.scheme == other.scheme:
            return (own.port or _PORTS.get(own.scheme)) == (other.port or _PORTS.get(other.scheme))
        return (own.scheme, other.scheme) == ("http", "https") and other.port in (None, 443)


def bearer_token(url: str, variable: str) -> Credentials:
    """Return a bearer token of the environment for the host of a URL.

    Args:
        url: An address of the host.
        variable: Name of the environment variable that holds the token.

    Raises:
        PermanentError: The variable is not set, or what it holds cannot be a token.
    """
    token = os.environ.get(variable, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise PermanentError(f"the environment variable {variable} holds no token; set it, or name none")
    return Credentials(url, headers={"Authorization": f"Bearer {token}"})
