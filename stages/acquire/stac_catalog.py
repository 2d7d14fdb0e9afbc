"""Reading STAC catalogs and searching STAC APIs, within limits: a catalog is a stranger's document.

Documents and hosts are bounded: what a remote catalog names is fetched from public hosts and from its own, never from
this machine's disk or network. One broken item is left out with a warning and does not end the reading.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import url2pathname

import numpy as np
import shapely
import shapely.affinity
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PermanentError
from raster.longitude import unwrapped, wrapped
from raster.strict_json import JsonError, parse_json
from stages.fetch.blocking import BlockingClient
from stages.fetch.client import Request

_log = logging.getLogger(__name__)

_MAX_DOCUMENT_BYTES = 32 << 20
_MAX_DOCUMENTS = 20_000
_MAX_TOTAL_BYTES = 2 << 30
_MAX_DEPTH = 32
_MAX_ITEMS = 20_000
_PAGE_ITEMS = 100
_MAX_REPAIRED = 100
"""Corners of an outline that crosses itself, or of lines, beyond which it is not repaired: that takes a time and a
memory that grow with the square of the corners, and faster."""

Document = Mapping[str, Any]


class _BrokenDocument(Exception):
    """A document that is not JSON, or not what its link says."""


@dataclass(frozen=True)
class StacItem:
    """An item of a catalog.

    Attributes:
        id: Its id.
        footprint: Outline in WGS84 degrees, as the item gives it.
        start: First moment of the imagery; None if unknown.
        end: Last moment; None if unknown.
        cloud_cover: `eo:cloud_cover` in percent; None if unknown.
        assets: Address by key: a URL, or a path where the item is a local file. Those of a remote item may be of any
            kind, and are refused where they are opened.
        remote: Does the item come from the network?
        year: The year that the item's own property gives, such as `naip:year`; None where it has none.
    """

    id: str
    footprint: BaseGeometry
    start: datetime | None
    end: datetime | None
    cloud_cover: float | None
    assets: Mapping[str, str]
    remote: bool
    year: int | None = None

    def touches(self, footprint: BaseGeometry) -> bool:
        """Tell whether the item covers some of a footprint."""
        return not self.part_of(footprint).is_empty

    def part_of(self, footprint: BaseGeometry) -> BaseGeometry:
        """Return what the item covers of a footprint, whichever turn round the globe their longitudes count from.

        Args:
            footprint: Outline in WGS84 degrees, unwrapped.

        Returns:
            The part, perhaps empty.
        """
        turned = [shapely.affinity.translate(self.footprint, turn) for turn in (0.0, 360.0, -360.0)]
        return shapely.union_all([shapely.intersection(each, footprint) for each in turned])

    def within(self, first: date, last: date) -> bool:
        """Tell whether some of the imagery is of the days from `first` to `last`; unknown dates are not.

        Args:
            first: First day.
            last: Last day.

        Returns:
            False if the item's dates are unknown.
        """
        return (
            self.start is not None and self.end is not None and first <= self.end.date() and self.start.date() <= last
        )


class CatalogReader:
    """Reads a static catalog or searches an API.

    Args:
        address: URL or path of the catalog.
        client: Sends the requests.
    """

    def __init__(self, address: str, client: BlockingClient) -> None:
        self._address = address
        self._client = client
        self._seen: set[str] = set()
        self._bytes = 0

    def items(
        self, collections: Sequence[str], footprint: BaseGeometry, days: tuple[date, date] | None
    ) -> Iterator[StacItem]:
        """Yield the items of a catalog; those of an API are searched by place and date, those of a file are all.

        Of more items than any site has, nothing is taken: which of them came first would be chance.

        Args:
            collections: Ids of the collections to look in; all if empty.
            footprint: Place in WGS84 degrees, longitudes unwrapped.
            days: First and last day.

        Raises:
            PermanentError: The catalog cannot be read, lacks a collection or exceeds the limits.
            TransientError: A host fails.
        """
        for number, item in enumerate(self._found(collections, footprint, days)):
            if number == _MAX_ITEMS:
                raise PermanentError(
                    f"{_shown(self._address)}: gives more than {_MAX_ITEMS} items for a site; name `collections` that "
                    "hold less"
                )
            yield item

    def _found(
        self, collections: Sequence[str], footprint: BaseGeometry, days: tuple[date, date] | None
    ) -> Iterator[StacItem]:
        try:
            root = self._read(self._address)
            search = next((link for link in _links(root, "search") if link.get("method", "GET") == "GET"), None)
            if search is not None:
                yield from self._search(self._linked(self._address, search), collections, footprint, days)
                return
            starts = [(self._address, root)] if not collections else self._collections(root, collections)
            for address, document in starts:
                yield from self._walk(address, document)
        except _BrokenDocument as error:
            raise PermanentError(
                f"{_shown(self._address)}: cannot be read as STAC ({error}); check the address"
            ) from None

    def _collections(self, root: Document, wanted: Sequence[str]) -> list[tuple[str, Document]]:
        known = {document.get("id"): (address, document) for address, document in self._tree(self._address, root)}
        missing = [name for name in wanted if name not in known]
        if missing:
            has = ", ".join(sorted(str(name) for name in known)) or "none"
            raise PermanentError(f"{_shown(self._address)}: no collection {', '.join(missing)}; it has {has}")
        self._seen.clear()
        return [known[name] for name in wanted]

    def _tree(self, address: str, document: Document, depth: int = 0) -> Iterator[tuple[str, Document]]:
        """Yield a catalog and all below it."""
        yield address, document
        if depth >= _MAX_DEPTH:
            raise PermanentError(f"{_shown(address)}: a catalog nested more than {_MAX_DEPTH} deep")
        for link in _links(document, "child"):
            below = self._linked(address, link)
            if below not in self._seen:
                yield from self._tree(below, self._read(below), depth + 1)

    def _walk(self, address: str, document: Document) -> Iterator[StacItem]:
        for at, catalog in self._tree(address, document):
            for link in _links(catalog, "item"):
                try:
                    place = self._linked(at, link)
                    if place in self._seen:
                        continue
                    item = self._read(place)
                except _BrokenDocument as error:
                    _log.warning("%s: an item is left out: %s", _shown(at), error)
                    continue
                yield from self._parsed(item, place)

    def _search(
        self, address: str, collections: Sequence[str], footprint: BaseGeometry, days: tuple[date, date] | None
    ) -> Iterator[StacItem]:
        west, south, east, north = footprint.bounds
        west, east = (west, east) if east - west >= 360 else (float(wrapped(west)), float(wrapped(east)))
        query = {"bbox": ",".join(repr(value) for value in (west, south, east, north)), "limit": str(_PAGE_ITEMS)}
        if collections:
            query["collections"] = ",".join(collections)
        if days:
            query["datetime"] = f"{days[0]}T00:00:00Z/{days[1]}T23:59:59Z"
        page: str | None = address + ("&" if urlsplit(address).query else "?") + urlencode(query)
        while page is not None:
            if page in self._seen:
                raise PermanentError(f"{_shown(address)}: the search's pages run in a circle; tell the service's owner")
            document = self._read(page)
            for feature in _sequence(document.get("features")):
                yield from self._parsed(feature, page)
            more = next(_links(document, "next"), None)
            if more is not None and str(more.get("method", "GET")).upper() != "GET":
                raise PermanentError(
                    f"{_shown(address)}: the search gives its further pages to POST only; not supported"
                )
            page = None if more is None else self._linked(page, more)

    def _linked(self, base: str, link: Mapping[str, Any]) -> str:
        """Return the address of another document. A document of the network leads to documents of the network only."""
        address = self._hidden(_resolved(base, link))
        if _is_remote(base) and not _is_remote(address):
            raise _BrokenDocument(f"{_shown(base)} refers to an address of the kind {urlsplit(address).scheme}:")
        return address

    def _hidden(self, address: str) -> str:
        """Return an address without the key that its path may repeat."""
        credentials = self._client.credentials if _is_remote(address) else None
        return credentials.hidden(address) if credentials is not None else address

    def _parsed(self, document: object, address: str) -> Iterator[StacItem]:
        """Yield the item that a document describes; none, with a warning, if it is broken."""
        try:
            item = _item(document, address)
            yield replace(item, assets={key: self._hidden(href) for key, href in item.assets.items()})
        except _BROKEN as error:
            name = document.get("id") if isinstance(document, dict) else None
            shown = error or type(error).__name__
            _log.warning("%s: item %r is left out: it is broken (%s)", _shown(address), name, shown)

    def _read(self, address: str) -> Document:
        self._seen.add(address)
        if len(self._seen) > _MAX_DOCUMENTS or self._bytes > _MAX_TOTAL_BYTES:
            raise PermanentError(
                f"{_shown(self._address)}: more than {_MAX_DOCUMENTS} documents or {_MAX_TOTAL_BYTES >> 30} GiB; name "
                "`collections` that hold less, or use a STAC API"
            )
        body = self._fetched(address) if _is_remote(address) else _file(address)
        self._bytes += len(body)
        try:
            document = parse_json(body)
        except JsonError as error:
            raise _BrokenDocument(f"{_shown(address)}: {error}") from None
        if not isinstance(document, dict):
            raise _BrokenDocument(f"{_shown(address)} is no JSON object")
        return document

    def _fetched(self, url: str) -> bytes:
        label = f"STAC document {_shown(url)}"
        body = self._client.get(Request(url, label, lambda response: response.body, _MAX_DOCUMENT_BYTES))
        if body is None:
            raise _BrokenDocument(f"{_shown(url)} does not exist")
        return body


def _is_remote(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https")


def _shown(address: str) -> str:
    """Return an address without what may be secret in it: user, password and query."""
    if not _is_remote(address):
        return address
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def local_path(address: str) -> Path:
    """Return the path of an address that is a path or a `file:` URL.

    Args:
        address: The address.

    Returns:
        The path.
    """
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(address)


def _file(address: str) -> bytes:
    path = local_path(address)
    try:
        if not path.is_file():
            raise _BrokenDocument(f"{path} does not exist")
        with path.open("rb") as file:
            body = file.read(_MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise _BrokenDocument(f"{path}: {error.strerror}") from None
    if len(body) > _MAX_DOCUMENT_BYTES:
        raise _BrokenDocument(f"{path} has more than {_MAX_DOCUMENT_BYTES >> 20} MiB")
    return body


def _resolved(base: str, link: Mapping[str, Any]) -> str:
    """Return the address of a link or an asset of the document at `base`; one of an unknown kind as it stands."""
    href = link.get("href")
    if not isinstance(href, str) or not href:
        raise _BrokenDocument("a link without an address")
    try:
        scheme = urlsplit(href).scheme
        if _is_remote(base):
            return urljoin(base, href)
    except ValueError:
        raise _BrokenDocument("a link with a malformed address") from None
    if scheme in ("http", "https", "file"):
        return href
    return str(local_path(base).parent / href) if len(scheme) < 2 else href


def _sequence(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _links(document: Document, rel: str) -> Iterator[Mapping[str, Any]]:
    links = _sequence(document.get("links"))
    return (link for link in links if isinstance(link, dict) and link.get("rel") == rel)


_BROKEN = (
    *(_BrokenDocument, shapely.errors.ShapelyError),
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError),
)


def _item(document: Any, address: str) -> StacItem:
    properties = document.get("properties") or {}
    moment = _moment(properties.get("datetime"))
    start, end = _moment(properties.get("start_datetime")) or moment, _moment(properties.get("end_datetime")) or moment
    assets = {}
    for key, asset in document["assets"].items():
        if isinstance(asset, dict) and isinstance(asset.get("href"), str):
            assets[str(key)] = _resolved(address, asset)
    return StacItem(
        str(document["id"]),
        _footprint(document),
        moment or start or end,
        moment or end or start,
        _number(properties.get("eo:cloud_cover")),
        assets,
        _is_remote(address),
        _year(properties),
    )


def _footprint(document: Any) -> BaseGeometry:
    if document.get("geometry") is None:
        return shapely.Polygon()
    shape = shapely.from_geojson(json.dumps(document["geometry"]))
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise _BrokenDocument("its geometry has coordinates that are no numbers")
    if isinstance(shape, shapely.Polygon):
        # A ring from 179.9 to -179.9 means the strip between them, not the rest of the globe.
        shape = shapely.Polygon(unwrapped(shapely.get_coordinates(shape.exterior)), list(shape.interiors))
    if shape.geom_type in ("Polygon", "MultiPolygon", "Point") and shape.is_valid:
        return shape
    if shapely.get_num_coordinates(shape) > _MAX_REPAIRED:
        raise _BrokenDocument(f"its outline of more than {_MAX_REPAIRED} corners crosses itself or is none")
    return shapely.make_valid(shape)


def _moment(value: object) -> datetime | None:
    """Return a moment given in RFC 3339; None if it is not."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _year(properties: Mapping[str, Any]) -> int | None:
    """Return the year that a property such as `naip:year` gives, as a number or as a text."""
    found = [str(value) for name, value in properties.items() if str(name).rpartition(":")[2] == "year"]
    return int(found[0]) if len(found) == 1 and found[0].isdigit() and len(found[0]) == 4 else None


def _number(value: object) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
