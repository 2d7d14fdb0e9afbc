"""URL templates of tile services: which placeholders they may hold, and the URL of a tile.

A template names a tile by `{z}`, `{x}` and `{y}` (or `{-y}`, counted from the south, as TMS does), by the names that
WMTS gives them, or by a quadkey. A placeholder that is not known would reach the service as it stands, which then
responds 404 to every tile: so every template is checked before a run.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from yarl import URL

from stages.fetch.url_secrets import literal_secret

_COORDINATES: dict[str, Callable[[int, int, int], str]] = {
    "z": lambda z, x, y: str(z),
    "zoom": lambda z, x, y: str(z),
    "TileMatrix": lambda z, x, y: str(z),
    "x": lambda z, x, y: str(x),
    "TileCol": lambda z, x, y: str(x),
    "y": lambda z, x, y: str(y),
    "TileRow": lambda z, x, y: str(y),
    "-y": lambda z, x, y: str((1 << z) - 1 - y),
    "q": lambda z, x, y: quadkey(z, x, y),
    "quadkey": lambda z, x, y: quadkey(z, x, y),
}
_ROLES = {
    "zoom": ("z", "zoom", "TileMatrix"),
    "column": ("x", "TileCol"),
    "row": ("y", "-y", "TileRow"),
    "quadkey": ("q", "quadkey"),
}
_SUBDOMAINS = ("a", "b", "c")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SWITCH = "switch:"


def quadkey(z: int, x: int, y: int) -> str:
    """Return the quadkey of a tile: a digit a zoom level, from the coarsest, as Bing Maps numbers tiles.

    Args:
        z: Zoom.
        x: Column.
        y: Row, counted from the north.

    Returns:
        `z` digits of 0 to 3.
    """
    return "".join(str((x >> level & 1) + 2 * (y >> level & 1)) for level in reversed(range(z)))


def tile_url(template: str, z: int, x: int, y: int, tile_size: int, key: str) -> str:
    """Fill a template in.

    Args:
        template: One that `template_problem` finds nothing wrong with.
        z: Zoom.
        x: Column, counted from 180 degrees west.
        y: Row, counted from the north.
        tile_size: Size of a tile in px: 512 fills `{r}` with "@2x", which asks for tiles of twice the resolution.
        key: The user's key, for `{key}`.

    Returns:
        The URL, the key filled in: it must never be logged or stored.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in _COORDINATES:
            return _COORDINATES[name](z, x, y)
        if name == "key":
            return key
        if name == "r":
            return "@2x" if tile_size == 512 else ""
        choices = name.removeprefix(_SWITCH).split(",") if name.startswith(_SWITCH) else _SUBDOMAINS
        return choices[(x + y) % len(choices)]

    return _PLACEHOLDER.sub(value, template)


def template_problem(template: str, has_key_variable: bool) -> str:
    """Tell what is wrong with a template.

    Args:
        template: The URL template.
        has_key_variable: Is there an environment variable to fill `{key}` with?

    Returns:
        The problem and its remedy in words, or "" if there is none.
    """
    return (
        _address_problem(template)
        or _spelling_problem(template)
        or _place_problem(set(_PLACEHOLDER.findall(template)))
        or _key_problem(template, has_key_variable)
    )


def _address_problem(template: str) -> str:
    if " " in template or not template.isprintable():
        return "a blank or a control character stands in the URL; remove it"
    bare = _PLACEHOLDER.sub("0", template)
    try:
        parts = URL(bare)  # as the client reads it that sends the requests
        host = parts.host or ""
    except ValueError:
        return "this is not a URL"
    if any(not 0 < len(label) < 64 for label in host.removesuffix(".").split(".")) and host:
        return "this is not a URL: each part of the name of a host has 1 to 63 characters"
    if parts.scheme not in ("http", "https") or not host:
        return "a URL template begins with http:// or https:// and a host"
    if parts.user is not None or parts.password is not None:
        return "the URL holds a user name or a password: write {key} and name its environment variable"
    if "{key}" in re.split(r"[/?#]", template.partition("://")[2], maxsplit=1)[0]:
        return "{key} stands in the name of the host, which is told and logged: no key belongs there"
    if "#" in bare:
        return "what stands behind # is never sent to a service: this is the address of a page, not of its tiles"
    if "&amp;" in bare:
        return "write & in place of &amp;, which is how XML writes it"
    if secret := literal_secret(template):
        return f"the url holds a key ({secret}): write {{key}} and name its environment variable"
    return ""


def _spelling_problem(template: str) -> str:
    if "${" in template:
        return "write {z}, not ${z}: a placeholder has no dollar sign"
    if re.search(r"%7b", template, re.IGNORECASE):
        return "the braces of a placeholder are percent-encoded: write { and }"
    if "{" in (rest := _PLACEHOLDER.sub("", template)) or "}" in rest:
        return "a brace has no partner"
    known = [*_COORDINATES, "s", "r", "key"]
    for name in _PLACEHOLDER.findall(template):
        if name in known or (name.startswith(_SWITCH) and all(name.removeprefix(_SWITCH).split(","))):
            continue
        lower = {each.lower(): each for each in known}
        near = difflib.get_close_matches(name.lower(), lower, 1)
        hint = f" (did you mean {{{lower[near[0]]}}}?)" if near else ""
        return (
            f"placeholder {{{name}}} is not known{hint}. Known are {', '.join(f'{{{each}}}' for each in known)} and "
            "{switch:a,b,c}; write the value of anything else into the URL"
        )
    return ""


def _place_problem(names: set[str]) -> str:
    present = {role: [name for name in spellings if name in names] for role, spellings in _ROLES.items()}
    for role, spellings in present.items():
        if len(spellings) > 1:
            return f"the {role} is given twice: {', '.join(f'{{{name}}}' for name in spellings)}"
    missing = [role for role in ("zoom", "column", "row") if not present[role]]
    if present["quadkey"] and len(missing) < 3:
        return "a template names a tile by {quadkey} or by {z}, {x} and {y}, not by both"
    if missing and not present["quadkey"]:
        wanted = ", ".join(f"{{{_ROLES[role][0]}}}" for role in missing)
        return f"the template lacks {wanted}: every tile would be the same picture"
    return ""


def _key_problem(template: str, has_key_variable: bool) -> str:
    if "{key}" in template and not has_key_variable:
        return "the template holds {key}, but key_variable does not name the environment variable with its value"
    if has_key_variable and "{key}" not in template:
        return "key_variable names a key, but the template has no {key} to fill in"
    return ""
