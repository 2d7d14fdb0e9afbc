"""Finding secrets that are written into the URLs of a configuration, which would reach ledgers, caches and logs."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

_NAMES = re.compile(
    r"key|token|secret|signature|sig$|password|passwd|pwd|pass$|session|auth|credential|jwt|appid|app_id|client_?id|ak$",
    re.IGNORECASE,
)
_PUBLIC = frozenset(
    {
        *("service", "request", "version", "layer", "layers", "style", "styles", "format", "transparent", "time"),
        *("tilematrixset", "tilematrix", "tilerow", "tilecol", "crs", "srs", "bbox", "width", "height", "dpi"),
        *("map", "v", "ver", "rev", "lang", "locale", "x", "y", "z", "url", "item", "items", "collection"),
        *("collections", "asset", "assets", "bidx", "rescale", "expression", "colormap_name", "theme", "scale", "date"),
        *("product", "dataset", "tileset", "edition", "year", "image", "source", "type", "name", "projection"),
    }
)
"""Parameters whose values are known to be no secrets, such as those of the OGC's services and of tilers."""

_TOKEN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w\-.~%+/=]{6,}|[A-Fa-f0-9\-]{16,}|\w{24,}")


def literal_secret(url: str) -> str | None:
    """Return what in a URL is, or looks like, a secret written out: "a password" or the name of a query parameter.

    A parameter counts by its name ("access_token"), or, unless its name is known to be harmless, by a value like that
    of a key or a password: letters and digits mixed, or long. Placeholders in braces are none.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None  # no URL at all, which is refused elsewhere
    if "@" in parts.netloc:
        return "a user name or password"
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if not value or re.fullmatch(r"\{\w+\}", value) or name.lower() in _PUBLIC:
            continue
        if _NAMES.search(name) or _TOKEN.fullmatch(value):
            return f"the parameter {name!r}"
    return None
