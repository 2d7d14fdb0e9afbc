"""The static STAC 1.1 catalog: Catalog > Collection > one Item an original; the records are a table of items.

    stac/catalog.json
    stac/collection.json      assets: the table of records, the manifest, the Zarr store
    stac/items/<id>.json      what records were made from, if the schema has such originals
    stac/items.parquet        the same items as one table (stac-geoparquet)
    stac/thumbnails/<id>.jpg  a small picture of each, if the schema makes one
    stac/<name>.parquet       stac-geoparquet, one row an accepted record (module `catalog.stac_table`)

All links are relative, so that a release can be moved. Fields that STAC has no name for carry the prefix `mapdata:`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

from catalog.checksums import digest, multihash
from catalog.dates import Interval, rfc3339, union
from catalog.geometry import bounds, enclosing, footprints, geojson
from catalog.manifest import published
from catalog.model import CARD_NAME, MANIFEST_NAME, STAC_NAME, STORE_NAME, About, Contents, Json, Placed
from catalog.schema import Credit, Schema, description

STAC_VERSION = "1.1.0"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RENDER = "https://stac-extensions.github.io/render/v2.0.0/schema.json"
TABLE = "https://stac-extensions.github.io/table/v1.2.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
VERSION = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.1.0/schema.json"

COLLECTION_ID = "mapdata"
ITEMS_NAME = "items.parquet"
THUMBNAILS = f"{STAC_NAME}/thumbnails"
GEOTIFF = "image/tiff; application=geotiff"
PARQUET = "application/vnd.apache.parquet"
ZARR = "application/vnd.zarr; version=3"
_ABOVE = {"root": "catalog", "parent": "collection", "collection": "collection"}
_LICENCES = "Licences and attributions of the sources"
MEDIA_TYPES = {
    ".tif": GEOTIFF,
    ".json": "application/json",
    ".parquet": PARQUET,
    ".png": "image/png",
    ".jpg": "image/jpeg",
}

_DESCRIBING = ("type", "title", "roles")

NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
"""Time of items whose date is unknown; their property `mapdata:date_known` is false."""

CODE = re.compile(r"[A-Za-z]+:\w+")
"""An authority and its code ("EPSG:3857"); any other CRS is WKT."""


@dataclass(frozen=True)
class _Listed:
    """What the collection says of an item: its link, its bounds, and the properties that are summed up."""

    id: str
    bbox: list[float]
    summed: Json


class _ItemAssets:
    """What all items say alike of their assets, by name."""

    def __init__(self) -> None:
        self._fields: dict[str, Json] = {}

    def add(self, assets: Mapping[str, Json]) -> None:
        for name, asset in assets.items():
            known = self._fields.setdefault(name, {key: asset[key] for key in _DESCRIBING if key in asset})
            self._fields[name] = {key: value for key, value in known.items() if asset.get(key) == value}

    @property
    def common(self) -> Json:
        return {name: fields for name, fields in self._fields.items() if fields}


def table_path(schema: Schema[Any]) -> str:
    """Return the place of the table of items in the release."""
    return f"{STAC_NAME}/{schema.name}.parquet"


def write_stac(
    schema: Schema[Any], release: Path, contents: Contents[Any], manifest: pa.Table, placed: Mapping[str, list[Placed]]
) -> None:
    """Write catalog, collection and items below `release`/stac; the table of items must be there.

    Args:
        schema: Of the release.
        release: Its folder.
        contents: What it is built from.
        manifest: Of the release.
        placed: The files that are published with each original, by its id.
    """
    folder = release / STAC_NAME
    (folder / "items").mkdir(parents=True)
    items, item_assets = [], _ItemAssets()
    for item in schema.items(contents, manifest, placed):
        _write(folder / "items" / f"{item['id']}.json", item)
        items.append(
            _Listed(item["id"], item["bbox"], {name: item["properties"].get(name) for name in schema.summaries})
        )
        item_assets.add(item["assets"])
    if items:
        _write_mirror([folder / "items" / f"{item.id}.json" for item in items], folder / ITEMS_NAME)
    _write(folder / "collection.json", _collection(schema, release, contents, manifest, items, item_assets.common))
    _write(folder / "catalog.json", _catalog(contents.about))


def make_item(
    identifier: str,
    footprint: bytes,
    properties: Json,
    assets: Mapping[str, Json],
    extensions: Sequence[str],
    title: str,
) -> Json:
    """Return an Item of the collection.

    Args:
        identifier: Its id, unique in the release.
        footprint: WKB polygon, WGS84.
        properties: The item's, its times included.
        assets: By name, see `make_asset`.
        extensions: URLs of the extensions that it uses.
        title: Of the dataset.
    """
    shape = footprints(pa.chunked_array([pa.array([footprint], pa.binary())]))
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(extensions),
        "id": identifier,
        "collection": COLLECTION_ID,
        "geometry": geojson(shape[0]),
        "bbox": bounds(shape)[0].tolist(),
        "properties": properties,
        "links": [
            *(_link(rel, f"../{name}.json", title) for rel, name in _ABOVE.items()),
            _link("license", f"../../{CARD_NAME}", _LICENCES, "text/markdown"),
        ],
        "assets": dict(assets),
    }


def make_asset(file: Placed, **fields: Any) -> Json:
    """Return the asset of an item that a file is, with the fields that are given for it.

    Args:
        file: In the release; the link is relative to an item two folders deep.
        **fields: Of the asset; they override the type and roles that follow from the file's suffix.
    """
    suffix = Path(file.path).suffix
    if file.path.startswith(f"{THUMBNAILS}/"):
        fields = {"title": "Thumbnail", "roles": ["thumbnail"], **fields}
    return {
        "href": f"../../{file.path}",
        "file:size": file.size,
        "file:checksum": multihash(file.digest),
        "type": file.media_type or MEDIA_TYPES.get(suffix, "application/octet-stream"),
        "roles": ["overview"] if suffix in (".png", ".jpg") else ["metadata"],
        **fields,
    }


def projection(crs: str) -> Json:
    """Return the projection extension's name of a CRS: its code, or no code and its WKT."""
    return {"proj:code": crs} if CODE.fullmatch(crs) else {"proj:code": None, "proj:wkt2": crs}


def time_properties(interval: Interval | None) -> Json:
    """Return the times of an item: an interval, because its images are seldom of one instant.

    STAC demands a time of every item. Where nothing is known it is `NO_DATE`, so that no search for a recent period
    finds the item.
    """
    start, end = interval or (NO_DATE, NO_DATE)
    times = {"datetime": None, "start_datetime": rfc3339(start), "end_datetime": rfc3339(end)}
    return times | {"mapdata:date_known": interval is not None}


def _collection(
    schema: Schema[Any],
    release: Path,
    contents: Contents[Any],
    manifest: pa.Table,
    items: Sequence[_Listed],
    item_assets: Json,
) -> Json:
    about, credits = contents.about, sorted(set(schema.credits(contents)))
    rows = published(manifest, ["split", "bbox"])
    interval = union(credit.date for credit in credits)
    summaries = {name: sorted({item.summed[name] for item in items} - {None}) for name in schema.summaries}
    summaries["mapdata:split"] = sorted(pc.unique(rows["split"]).to_pylist())
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted({FILE, PROCESSING, TABLE, VERSION, *_used(summaries, item_assets)}),
        "id": COLLECTION_ID,
        "title": about.title,
        "description": about.description,
        "license": about.licence,
        "keywords": list(schema.keywords),
        "providers": _providers(about, credits),
        "extent": {
            "spatial": {"bbox": [_extent(rows, items)]},
            "temporal": {"interval": [list(map(rfc3339, interval)) if interval else [None, None]]},
        },
        "summaries": {name: values for name, values in summaries.items() if values},
        "version": about.version,
        "mapdata:benchmark": about.benchmark.to_json(),
        "links": [
            _link("root", "./catalog.json", about.title),
            _link("parent", "./catalog.json", about.title),
            _link("license", f"../{CARD_NAME}", _LICENCES, "text/markdown"),
            *(_link("item", f"./items/{item.id}.json", item.id, "application/geo+json") for item in items),
        ],
        "item_assets": item_assets,
        "assets": _collection_assets(schema, release, manifest),
    }


def _write_mirror(items: Sequence[Path], path: Path) -> None:
    """Write all items, by their files, as one table, which lies a folder above theirs."""

    def moved(entry: Json) -> Json:
        return {**entry, "href": entry["href"].replace("../", "./", 1).replace("./../", "../")}

    rows = [
        {
            **item,
            "links": [moved(link) for link in item["links"]],
            "assets": {name: moved(asset) for name, asset in item["assets"].items()},
        }
        for item in (json.loads(file.read_bytes()) for file in items)
    ]
    to_parquet(parse_stac_items_to_arrow(rows), path, compression="zstd")


def _used(*fields: Mapping[str, Any]) -> set[str]:
    """Return the extensions whose fields occur in a collection only where its items use them."""
    names = {name for each in fields for name in (*each, *(key for value in each.values() for key in value))}
    return {PROJECTION} if any(str(name).startswith("proj:") for name in names) else set()


def _collection_assets(schema: Schema[Any], release: Path, manifest: pa.Table) -> Json:
    assets: Json = {}
    table = table_path(schema)
    described = {
        schema.name: (table, f"Items of all published {schema.name} (stac-geoparquet)", "stac-items"),
        "manifest": (MANIFEST_NAME, f"Manifest of all {schema.name}, rejected ones included (GeoParquet)", "metadata"),
        "items": (f"{STAC_NAME}/{ITEMS_NAME}", "The items of this collection (stac-geoparquet)", "collection-mirror"),
    }
    for name, (path, title, role) in described.items():
        file = release / path
        if not file.exists():  # a schema without originals has no items
            continue
        assets[name] = {
            "href": f"./{file.name}" if path.startswith(STAC_NAME) else f"../{path}",
            "type": PARQUET,
            "title": title,
            "roles": [role],
            "file:size": file.stat().st_size,
            "file:checksum": multihash(digest(file)),
            "table:row_count": pq.read_metadata(file).num_rows,
            "table:primary_geometry": "geometry",
        }
    assets["manifest"]["table:columns"] = [
        {"name": field.name, "type": str(field.type), "description": description(field)} for field in manifest.schema
    ]
    if (release / STORE_NAME).exists():
        title = f"Pixels of all published {schema.name} (Zarr v3)"
        assets["zarr"] = {"href": f"../{STORE_NAME}", "type": ZARR, "title": title, "roles": ["data"]}
    return assets


def _catalog(about: About) -> Json:
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": f"{COLLECTION_ID}-catalog",
        "title": about.title,
        "description": about.description,
        "links": [_link("root", "./catalog.json", about.title), _link("child", "./collection.json", about.title)],
    }


def _providers(about: About, credits: Iterable[Credit]) -> list[Json]:
    licensors = [
        {
            "name": attribution or source,
            "description": f"source: {source}; licence: {licence}",
            "roles": ["licensor", "producer"],
        }
        for source, licence, attribution in sorted({(each.source, each.licence, each.attribution) for each in credits})
    ]
    creator: Json = {"name": about.creator, "roles": ["processor"], "processing:software": dict(about.software)}
    return [*licensors, creator | ({"url": about.url} if about.url else {})]


def _extent(rows: pa.Table, items: Sequence[_Listed]) -> list[float]:
    boxes = [item.bbox for item in items] or [list(box.values()) for box in rows["bbox"].to_pylist()]
    return enclosing(np.array(boxes)) if boxes else [-180.0, -90.0, 180.0, 90.0]


def _link(rel: str, href: str, title: str, media: str = "application/json") -> Json:
    return {"rel": rel, "href": href, "type": media, "title": title}


def _write(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
