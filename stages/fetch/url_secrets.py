"""Finding secrets that are written into the URLs of a configuration, which would reach ledgers, caches and logs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

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

_WORD = r"(?:(?:access|api|auth|client|private|session|subscription)[-_]?)?(?:key|token|secret|ticket|signature|jwt)s?"
_SECRETS_NAME = re.compile(_WORD, re.IGNORECASE)
_NAMED_SEGMENT = re.compile(rf"{_WORD}[-_.:~](.+)", re.IGNORECASE)
_NAMED_VALUE = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9]{8,}|[A-Fa-f0-9\-]{16,}|[A-Za-z0-9]{24,}")
_OGC = ("wms", "wmts", "wcs", "wfs")
_BARE_KEY = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}")
_INSTANCE_HOSTS = re.compile(r"(?:.+\.)?(?:sentinel-hub\.com|dataspace\.copernicus\.eu)")
_MIN_RANDOM, _MIN_CHANGES = 20, 0.25
"""A word of at least so many letters and digits is no name where so large a share of its neighbours differ in kind:
about 0.4 do in random ones, 0.1 in words that are joined by capitals and followed by numbers."""


def literal_secret(url: str, depth: int = 0) -> str | None:
    """Return what in a URL is, or looks like, a secret written out: "a password", the name of a parameter, a place.

    A parameter counts by its name ("access_token"), or, unless its name is known to be harmless, by a value like that
    of a key or a password: letters and digits mixed, or long. Placeholders in braces are none. Parameters stand in the
    query, behind semicolons of the path or in the fragment; a value that is a URL itself, as tilers take them, is
    looked through as well. A part of the path counts where it is called a key by itself ("key-...") or by the part
    before it ("token/..."), or where it is a long word of letters and digits in no order. Hexadecimal digits and UUIDs
    alone are also names of data sets. They count only where services put keys: 32 digits or more as the first part of a
    template of tiles, and the instance of an OGC service of Sentinel Hub. Where the URL has the placeholder of a key,
    its secret is there.

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
    segments = [segment.split(";") for segment in parts.path.split("/")]
    texts = [parts.query.replace(";", "&"), parts.fragment, *(text for _, *rest in segments for text in rest)]
    for name, value in parse_qsl("&".join(texts), keep_blank_values=True):
        if not value or re.fullmatch(r"\{\w+\}", value):
            continue
        if "://" in value and depth < _MAX_DEPTH and (inner := literal_secret(value, depth + 1)):
            return f"{inner} in the parameter {name!r}"
        if name.lower() not in _PUBLIC and (_NAMES.search(name) or _TOKEN.fullmatch(value)):
            return f"the parameter {name!r}"
    for number, (before, segment) in enumerate(pairwise(unquote(first) for first, *_ in segments), start=1):
        if not parts.netloc:
            break  # a path of this machine
        bare = any(map(_is_random, _words(segment)))
        bare |= number == 1 and depth == 0 and "{" in url and bool(_BARE_KEY.fullmatch(segment))
        bare |= before in _OGC and bool(_INSTANCE_HOSTS.fullmatch(parts.hostname or "")) and "{" not in segment
        if _is_called_secret(before, segment) or ("{key}" not in url and bare):
            return f"part {number} of the path"
    return None


def _is_called_secret(before: str, segment: str) -> bool:
    """Return whether a segment of a path says, or the one before it, that it is a secret."""
    name, equals, value = segment.partition("=")
    if equals and _SECRETS_NAME.fullmatch(name):
        return bool(value) and "{" not in value
    named = segment if _SECRETS_NAME.fullmatch(before) else ""
    if found := _NAMED_SEGMENT.fullmatch(segment):
        named = found[1]
    return any(_NAMED_VALUE.fullmatch(word) for word in (named, *_words(named)))


def _words(text: str) -> Iterator[str]:
    """Yield the words of letters and digits in a segment, without those of placeholders."""
    yield from re.findall(r"[A-Za-z0-9]+", re.sub(r"\{[^{}]*\}", " ", text))


def _is_random(word: str) -> bool:
    if len(word) < _MIN_RANDOM or re.fullmatch(r"[0-9a-f]+|[0-9A-F]+|[^0-9]+", word):
        return False
    kinds = ["digit" if each.isdigit() else "upper" if each.isupper() else "lower" for each in word]
    changes = sum(pair[0] != pair[1] and pair != ("upper", "lower") for pair in pairwise(kinds))
    return changes >= _MIN_CHANGES * (len(word) - 1)
