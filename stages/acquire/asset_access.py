"""Access to assets that are not open to everybody: tokens and keys come from the environment and stay in this process.

Azure's storage wants a shared access signature (SAS) at the end of each address: an unsigned one answers 404, as if the
file were missing. Buckets of Amazon S3 where the requester pays want every request signed (Signature Version 4).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from pipeline.errors import PermanentError
from raster.strict_json import parse_json
from stages.fetch.blocking import BlockingClient
from stages.fetch.client import Request, Response
from stages.fetch.responses import InvalidResponse

_EMPTY = hashlib.sha256(b"").hexdigest()
_EARLY_S = 120.0
"""A token is renewed so long before it ends."""

_SAS = re.compile(r"[\w%.~&=+/:-]+")


class AssetAccess:
    """Takes addresses as they are. Subclasses sign them."""

    missing = "the file is missing; check the catalog"

    def address(self, href: str, client: BlockingClient) -> str:
        """Return the address to ask for, which may hold a secret: it is neither logged nor kept.

        Args:
            href: The asset's address as the catalog's item has it.
            client: Sends the request to a token service, where the way of signing needs one.
        """
        return href

    def headers(self, url: str) -> Mapping[str, str]:
        """Return the headers of a request at this moment."""
        return {}


class Unsigned(AssetAccess):
    """Takes addresses as they are, and says what a 404 may mean."""

    missing = (
        "the host answers 404, as hosts of signed addresses do to unsigned ones: set `signing`, or check the catalog; "
        "this is not taken for a place without imagery"
    )


@dataclass
class SharedAccess(AssetAccess):
    """Adds a shared access signature, from an environment variable or from a service that gives one a container.

    Attributes:
        variable: Environment variable with a token; "" to ask the service.
        service: Address that gives `{"token", "msft:expiry"}` at `<service>/<account>/<container>`.
    """

    variable: str = ""
    service: str = ""
    missing = "the host answers 404 to a signed address: the file is missing or the token is of another container"
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    def address(self, href: str, client: BlockingClient) -> str:
        """Return the address with its token. Raises PermanentError if there is none."""
        parts = urlsplit(href)
        if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            raise PermanentError(f"{parts.netloc}: a token is sent over https only; check the catalog")
        token = self._token(parts.netloc, parts.path, client).lstrip("?")
        return f"{href}{'&' if parts.query else '?'}{token}"

    def _token(self, host: str, path: str, client: BlockingClient) -> str:
        if self.variable:
            token = os.environ.get(self.variable, "").strip()
            if not _SAS.fullmatch(token.lstrip("?")):
                raise PermanentError(f"the environment variable {self.variable} holds no SAS token; set it")
            return token
        container = path.lstrip("/").partition("/")[0]
        where = f"{host.partition('.')[0]}/{container}"
        token, ends = self._tokens.get(where, ("", 0.0))
        if time.time() > ends - _EARLY_S:
            url = f"{self.service.rstrip('/')}/{where}"
            found = client.get(Request(url, f"SAS token of {where}", _sas_token, 1 << 16))
            if found is None:
                raise PermanentError(f"SAS token of {where}: the service knows no such container; check the catalog")
            token, ends = self._tokens[where] = found
        return token


class RequesterPays(AssetAccess):
    """Signs requests to Amazon S3 with the keys of the environment; the owner of the keys pays for them.

    Args:
        region: Of the bucket.
    """

    missing = "the bucket answers 404: there is no such object; check the catalog"

    def __init__(self, region: str) -> None:
        self._region = region

    def address(self, href: str, client: BlockingClient) -> str:
        """Return the web address of an `s3://` one; others stay."""
        parts = urlsplit(href)
        if parts.scheme != "s3":
            return href
        return f"https://{parts.netloc}.s3.{self._region}.amazonaws.com{quote(parts.path)}"

    def headers(self, url: str) -> Mapping[str, str]:
        """Return the signature. Raises PermanentError without keys in the environment."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        key, secret = (os.environ.get(name, "") for name in names)
        if not key or not secret:
            raise PermanentError(f"a bucket where the requester pays needs {' and '.join(names)} in the environment")
        extra = {"x-amz-request-payer": "requester"}
        if token := os.environ.get("AWS_SESSION_TOKEN"):
            extra["x-amz-security-token"] = token
        return signature_v4(url, key, secret, self._region, datetime.now(UTC), extra)


def signature_v4(
    url: str, key: str, secret: str, region: str, moment: datetime, extra: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers that sign a GET request to S3 (AWS Signature Version 4), `extra` among them.

    Args:
        url: Its address, percent-encoded, without a query.
        key: Access key id.
        secret: Secret access key.
        region: Of the bucket.
        moment: Of the request, UTC; the signature is good for 15 minutes.
        extra: Further headers to sign, names in lower case.
    """
    parts = urlsplit(url)
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp, **extra}
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    request = "\n".join(["GET", parts.path or "/", "", lines, ";".join(names), _EMPTY])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    signing = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    signed = hmac.digest(signing, text.encode(), "sha256").hex()
    credential = f"Credential={key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signed}"
    rest = {name: value for name, value in headers.items() if name != "host"}
    return {**rest, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}


def _sas_token(response: Response) -> tuple[str, float]:
    try:
        answer = parse_json(response.body)
        token, ends = str(answer["token"]), datetime.fromisoformat(str(answer["msft:expiry"]))
    except (ValueError, KeyError, TypeError):
        raise InvalidResponse("no token") from None
    if not _SAS.fullmatch(token.lstrip("?")):
        raise InvalidResponse("no token")
    return token, (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp()


def _is_loopback(host: str) -> bool:
    return host in ("127.0.0.1", "localhost", "::1")
