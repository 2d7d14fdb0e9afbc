"""Licences under which a photograph may be published: CC0, public domain, CC BY and CC BY-SA, in any version.

Everything else is rejected with its reason: no derivatives, no commercial use, and whatever is not understood.
"""

from __future__ import annotations

import re

from catalog.landmarks.schema import is_free

_URLS = re.compile(
    r"https?://creativecommons\.org/(?:licenses|publicdomain)/([a-z0-9-]+)(?:/(\d(?:\.\d)?))?", re.IGNORECASE
)
_CC = re.compile(r"^cc-(by(?:-(?:sa|nc|nd))*)(?:-(\d(?:\.\d)?))?", re.IGNORECASE)
_PUBLIC = re.compile(r"^(?:pd|public[ -]domain|no (?:known )?(?:copyright )?restrictions|pdm)\b|^pd-", re.IGNORECASE)
_LIMITS = {
    "NC": re.compile(r"(?<![a-z])nc(?![a-z])|non[ -]?commercial", re.IGNORECASE),
    "ND": re.compile(r"(?<![a-z])nd(?![a-z])|no[ -]?deriv", re.IGNORECASE),
}
"""What forbids to publish, wherever in a name it stands: "CC BY 2.0, non-commercial use only"."""


def spdx_of(name: str, url: str = "") -> str:
    """Return the SPDX-like identifier of a licence, "" if it is not understood.

    Args:
        name: As a service gives it: "CC BY-SA 4.0", "cc-by-sa-4.0", "CC0", "Public domain", "PD-user".
        url: Of the licence's text, which is looked at where the name says nothing. One that forbids more than the name
            does is believed.
    """
    text = " ".join(name.replace("_", "-").split())
    found = _URLS.search(url)
    linked = _linked(found[1].lower(), found[2]) if found else ""
    if any(part in _LIMITS for part in linked.split("-")):
        return linked
    named = _named(text)
    limits = [limit for limit, words in _LIMITS.items() if words.search(text) and limit not in named.split("-")]
    return "-".join([named or "unknown", *limits]) if limits else named or linked


def _named(text: str) -> str:
    if re.match(r"^cc[ -]?0|^cc[ -]zero", text, re.IGNORECASE):
        return "CC0-1.0"
    if _PUBLIC.match(text):
        return "Public-Domain"
    found = _CC.match(text.replace(" ", "-"))
    return _cc(found[1], found[2]) if found else ""


def _linked(kind: str, version: str | None) -> str:
    fixed = {"zero": "CC0-1.0", "mark": "Public-Domain"}.get(kind)
    return fixed or (_cc(kind, version) if kind.startswith("by") else "")


def refusal(licence: str) -> str:
    """Say why a photograph under a licence, as `spdx_of` names it, may not be published, or nothing."""
    if not licence:
        return "its licence is unknown"
    parts = licence.upper().split("-")
    if "ND" in parts:
        return f"{licence} allows no derivatives"
    if "NC" in parts:
        return f"{licence} allows no commercial use"
    if licence in ("CC0-1.0", "Public-Domain") or parts[:2] == ["CC", "BY"]:
        return ""
    return f"{licence} is not on the list of free licences"


def imagery_problems(licence: str) -> list[str]:
    """Return, with its field, that a release will refuse aerial images of a licence: better now than after days."""
    return [] if is_free(licence) else [f"licence: {licence!r} does not allow to publish, or is not known to"]


def _cc(kind: str, version: str | None) -> str:
    return f"CC-{kind.upper()}" + (f"-{version}" if version else "")
