"""Reading answers of Wikimedia's APIs, of both format versions: functions from JSON to values, without a network.

Everything in them was written by strangers: a value of another type than it should have counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from stages.landmarks.prose import writable

Json = Mapping[str, Any]

EARTH = "http://www.wikidata.org/entity/Q2"
_DATE = re.compile(r"(?<!\d)([12]\d{3})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?)?(?!\d)")
_RANKS = ("preferred", "normal")
_HIDDEN = frozenset({"style", "script"})
_VOID = frozenset({"br", "img", "hr", "wbr", "input"})
_NOT_SHOWN = re.compile(r"display\s*:\s*none", re.IGNORECASE)


@dataclass(frozen=True)
class FileInfo:
    """A file of a wiki, as `prop=imageinfo` describes it. Texts are plain, "" where the wiki says nothing.

    Attributes:
        title: "File:Name.jpg".
        thumbnail: Address of the reduced picture that was asked for; that of the file where it is no larger.
        url: Of the file.
        page: Of its description.
        mime: Media type.
        sha1: Of the file.
        licence: Short name or identifier of the licence, and `licence_url` its text.
        author: Who made it.
        attribution: What the author wants to be printed.
        date: When it was taken, ISO 8601, as precise as known.
        shared: Is it a file of Commons that another wiki shows? Then only Commons describes it.
        missing: Does the wiki not have it?
    """

    title: str
    thumbnail: str = ""
    url: str = ""
    page: str = ""
    mime: str = ""
    sha1: str = ""
    licence: str = ""
    licence_url: str = ""
    author: str = ""
    attribution: str = ""
    date: str = ""
    shared: bool = False
    missing: bool = False


def error_of(document: Json) -> tuple[str, str]:
    """Return code and text of an API's error, both "" if there is none."""
    error = document.get("error")
    if not isinstance(error, dict):
        return "", ""
    return _text(error.get("code")) or "unknown", _text(error.get("info"))


def pages_of(document: Json) -> Iterator[Json]:
    """Yield the pages of `action=query`: a list in format version 2, an object by id in version 1."""
    pages = _object(document.get("query")).get("pages")
    found = pages.values() if isinstance(pages, dict) else pages if isinstance(pages, list) else ()
    return (page for page in found if isinstance(page, dict))


def renamed(document: Json) -> dict[str, str]:
    """Return title asked for -> title that answers, after normalising and redirects."""
    query = _object(document.get("query"))
    steps: dict[str, str] = {}
    for name in ("normalized", "redirects"):
        entries = query.get(name)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                steps[_text(entry.get("from"))] = _text(entry.get("to"))
    return {title: _end(steps, title) for title in steps}


def is_set(page: Json, name: str) -> bool:
    """Tell whether a page has a flag: true in format version 2, an empty text in version 1.

    Args:
        page: Of `action=query`.
        name: Of the flag, such as "missing".
    """
    return name in page and page[name] is not False


def file_of(page: Json) -> FileInfo:
    """Return what a page of `prop=imageinfo` says of a file."""
    title = _text(page.get("title"))
    shared = is_set(page, "known") or page.get("imagerepository") == "shared"
    infos = page.get("imageinfo")
    if not isinstance(infos, list) or not infos or not isinstance(infos[0], dict):
        return FileInfo(title, shared=shared and is_set(page, "missing"), missing=True)
    info = infos[0]
    said = _object(info.get("extmetadata"))

    def field(name: str) -> str:
        return plain_text(_text(_object(said.get(name)).get("value")))

    free = field("NonFree").lower() not in ("true", "1", "yes")
    return FileInfo(
        title=title,
        thumbnail=_text(info.get("thumburl")),
        url=_text(info.get("url")),
        page=_text(info.get("descriptionurl")),
        mime=_text(info.get("mime")),
        sha1=_text(info.get("sha1")),
        licence=(field("License") or field("LicenseShortName")) if free else "",
        licence_url=field("LicenseUrl") if free else "",
        author=field("Artist"),
        attribution=field("Attribution"),
        date=date_of(field("DateTimeOriginal")),
        shared=shared and is_set(page, "missing"),
    )


def date_of(text: str) -> str:
    """Return the most precise date in a text as ISO 8601, of equal ones the first; "" without one."""
    dates = ("-".join(part for part in found.groups() if part) for found in _DATE.finditer(text))
    return max(dates, key=len, default="")


def plain_text(markup: str) -> str:
    """Return HTML as text on one line, without tags, styles and scripts."""
    if "<" not in markup and "&" not in markup:
        return " ".join(markup.split())
    reader = _Text()
    reader.feed(markup)
    reader.close()
    return " ".join("".join(reader.parts).split())


def labels_of(entity: Json, language: str) -> str:
    """Return the label of a Wikidata entity in a language, else in English, "" without one.

    Args:
        entity: Of `wbgetentities` with `props=labels`.
        language: Code, such as "de". After English, the label for all languages ("mul") is tried.
    """
    labels = _object(entity.get("labels"))
    return next(
        (text for name in (language, "en", "mul") if (text := _text(_object(labels.get(name)).get("value")))), ""
    )


def sitelink(entity: Json, site: str) -> str:
    """Return the title of an entity's page on a wiki such as "enwiki", "" without one.

    Args:
        entity: Of `wbgetentities` with `props=sitelinks`.
        site: Wikidata's id of the wiki: language and "wiki", or "commonswiki".
    """
    return _text(_object(_object(entity.get("sitelinks")).get(site)).get("title"))


def values(entity: Json, name: str) -> list[Any]:
    """Return the values of a property: of the preferred statements if there are any, else of the normal ones.

    Deprecated statements, and those that say "no value" or "unknown value", give nothing.

    Args:
        entity: Of `wbgetentities` with `props=claims`.
        name: Id of the property, such as "P625".

    Returns:
        Of the type that the property's data type has in JSON: text, or an object such as {"id": "Q42"}.
    """
    statements = _object(entity.get("claims")).get(name)
    found: dict[str, list[Any]] = {rank: [] for rank in _RANKS}
    for statement in statements if isinstance(statements, list) else ():
        snak = _object(_object(statement).get("mainsnak"))
        rank = _object(statement).get("rank")
        if rank in found and snak.get("snaktype") == "value":
            found[rank].append(_object(snak.get("datavalue")).get("value"))
    return found["preferred"] or found["normal"]


def items(entity: Json, name: str) -> list[str]:
    """Return the ids of the items that a property names.

    Args:
        entity: Of `wbgetentities` with `props=claims`.
        name: Id of a property whose values are items, such as "P31" (instance of).

    Returns:
        "Q" and a number each, in the order of the statements; values of another kind are left out.
    """
    ids = (_text(_object(value).get("id")) for value in values(entity, name))
    return [each for each in ids if re.fullmatch(r"Q[1-9]\d*", each)]


def coordinates(entity: Json) -> list[tuple[float, float]]:
    """Return longitude and latitude of each P625 on Earth."""
    found = []
    for value in values(entity, "P625"):
        place = _object(value)
        lon, lat = place.get("longitude"), place.get("latitude")
        if place.get("globe", EARTH) == EARTH and isinstance(lon, int | float) and isinstance(lat, int | float):
            found.append((float(lon), float(lat)))
    return found


class _Text(HTMLParser):
    """Collects the text of HTML; a line break is a space. What a page does not show, such as data for machines in an
    element with `display: none`, is left out up to the end tag that belongs to it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden, self._hiding = 0, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            self._hidden += tag == self._hiding
        elif tag in _HIDDEN or (tag not in _VOID and _NOT_SHOWN.search(dict(attrs).get("style") or "")):
            self._hidden, self._hiding = 1, tag
        if tag in ("br", "p", "div", "li", "td"):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag == self._hiding))

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _end(steps: Mapping[str, str], title: str) -> str:
    for _ in range(len(steps) + 1):
        if title not in steps:
            break
        title = steps[title]
    return title


def _text(value: Any) -> str:
    return writable(value) if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
