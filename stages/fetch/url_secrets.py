"""Finding secrets that are written into the URLs of a configuration, which would reach ledgers, caches and logs."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

_NAMES = re.compile(
    r"key|token|secret|signature|sig$|password|passwd|pwd|pass$|session|auth|credential|jwt|appid|app_id|client_?id|ak$"
    r"|bearer|hmac|subscription|^(?:access|api|code|hash|k|licen[cs]e|login|otp|p|pin|pw|sas|sign|tk|u|user|usr)$",
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

_TOKEN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[^\s,:{}]{6,}|[A-Fa-f0-9\-]{16,}|\w{24,}")
_MAX_DEPTH = 4


def literal_secret(url: str, depth: int = 0) -> str | None:
    """Return what in a URL is, or looks like, a secret written out: "a password" or the name of a parameter.

    A parameter counts by its name ("access_token"), or, unless its name is known to be harmless, by a value like that
    of a key or a password: letters and digits mixed, or long. Placeholders in braces are none. Parameters stand in the
    query, behind semicolons of the path or in the fragment; a value that is a URL itself, as tilers take them, is
    looked through as well.

    Args:
        url: The address or template.
        depth: How many URLs this one is the value of a parameter in.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None  # no URL at all, which is refused elsewhere
    if "@" in parts.netloc:
        return "a user name or password"
    texts = [parts.query.replace(";", "&"), parts.fragment, *parts.path.split(";")[1:]]
    for name, value in parse_qsl("&".join(texts), keep_blank_values=True):
        if not value or re.fullmatch(r"\{\w+\}", value):
            continue
        if "://" in value and depth < _MAX_DEPTH and (inner := literal_secret(value, depth + 1)):
            return f"{inner} in the parameter {name!r}"
        if name.lower() not in _PUBLIC and (_NAMES.search(name) or _TOKEN.fullmatch(value)):
            return f"the parameter {name!r}"
    return None
