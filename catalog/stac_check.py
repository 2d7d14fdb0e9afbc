"""Checking a static STAC catalog without a network: schemas, links, assets, and the table of items.

The core is checked by the STAC 1.1.0 and GeoJSON schemas that pystac carries, the extensions by their own, which
`catalog.stac_schemas` carries. A field of an extension whose use is not declared is a problem, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema_rs
import pyarrow as pa
from pyproj.datadir import get_data_dir
from stac_geoparquet.arrow import stac_table_to_items

from catalog.checksums import files_below, multihash
from catalog.errors import CatalogError
from catalog.manifest import published
from catalog.model import STAC_NAME, Json, Problem
from catalog.schema import Schema
from catalog.stac import (
    FILE,
    PROCESSING,
    PROJECTION,
    RENDER,
    STAC_VERSION,
    TABLE,
    VERSION,
    table_path,
)
from catalog.untrusted import read_json, read_table

_SCHEMAS = "https://schemas.stacspec.org/v1.1.0"
_PARTS = ("bands", "basics", "common", "data-values", "datetime", "instrument", "licensing", "provider")
_PROJJSON = "https://proj.org/schemas/v0.7/projjson.schema.json"
_REMEDY = "write the catalog again: mapdata export --workspace DIR --to stac"

_EXTENSIONS = {
    "file": FILE,
    "processing": PROCESSING,
    "proj": PROJECTION,
    "renders": RENDER,
    "table": TABLE,
}
"""Prefix of fields, or a field -> extension that defines it."""

_FILES = {url: url.split("/")[-3] for url in (*_EXTENSIONS.values(), VERSION)}
"""Extension -> stem of its schema's file."""


def check_stac(
    schema: Schema[Any], release: Path, digests: Mapping[str, str], manifest: pa.Table | None
) -> Iterator[Problem]:
    """Yield everything wrong with `release`/stac.

    Args:
        schema: Of the release.
        release: Its folder.
        digests: Of the release's files, by relative path.
        manifest: Of the release; without it the table of items is checked by itself only.
    """
    catalog = f"{STAC_NAME}/catalog.json"
    seen = {catalog}
    waiting = [catalog]
    while waiting:
        path = waiting.pop(0)
        value, problem = _load(release, path)
        if problem:
            yield problem
            continue
        yield from _check_schema(path, value)
        yield from _check_assets(release, path, value, digests)
        for rel, target in _targets(path, value):
            if not (release / target).is_file():
                yield Problem(path, f"link {rel!r} leads to {target}, which is not there", _REMEDY)
            elif rel in ("child", "item") and target not in seen:
                seen.add(target)
                waiting.append(target)
    for file in files_below(release / STAC_NAME):
        name = f"{STAC_NAME}/{file}"
        if name.endswith(".json") and name not in seen:
            yield Problem(name, "no collection links to this item", _REMEDY)
    yield from _check_table(schema, release, digests, manifest)


def _check_table(
    schema: Schema[Any], release: Path, digests: Mapping[str, str], manifest: pa.Table | None
) -> Iterator[Problem]:
    path = table_path(schema)
    try:
        table = read_table(release, path)
        ids = table["id"].to_pylist()
    except (CatalogError, KeyError) as error:
        yield Problem(path, f"no readable table of items ({error})", _REMEDY)
        return
    if manifest is not None and ids != published(manifest, [schema.key])[schema.key].to_pylist():
        what = f"its items are not the accepted {schema.name} of the manifest, in their order"
        yield Problem(path, what, _REMEDY)
    elif manifest is not None:
        yield from _check_columns(schema, path, table, published(manifest))
    for batch in table.to_batches(max_chunksize=8192):
        for item in stac_table_to_items(batch):
            item.setdefault("assets", {})
            where = f"{path}, item {item['id']}"
            yield from _check_schema(where, item)
            yield from _check_asset_files(where, path, item, digests)


def _check_columns(schema: Schema[Any], path: str, table: pa.Table, rows: pa.Table) -> Iterator[Problem]:
    """Yield columns of the table of items that say something else of a record than the manifest does."""
    for name, values in schema.record_fields(rows).items():
        implied = pa.chunked_array([values]) if isinstance(values, pa.Array) else values
        if name in table.column_names and table[name].type == implied.type and table[name].equals(implied):
            continue
        found = table[name].to_pylist() if name in table.column_names else [None] * table.num_rows
        both = enumerate(zip(found, implied.to_pylist(), strict=True))
        differing = [index for index, (stated, true) in both if stated != true]
        if differing:
            where = f"{path}, item {table['id'][differing[0]].as_py()}"
            yield Problem(where, f"has another {name} than the manifest, as {len(differing)} items have", _REMEDY)


def _load(release: Path, path: str) -> tuple[Json, Problem | None]:
    try:
        value = read_json(release, path)
    except CatalogError as error:
        return {}, Problem(path, str(error), _REMEDY)
    if not isinstance(value, dict):
        return {}, Problem(path, "is not a JSON object", _REMEDY)
    return value, None


def _check_schema(where: str, value: Json) -> Iterator[Problem]:
    kind = {"Catalog": "catalog", "Collection": "collection", "Feature": "item"}.get(str(value.get("type")))
    if kind is None or value.get("stac_version") != STAC_VERSION:
        yield Problem(where, f"is no STAC {STAC_VERSION} catalog, collection or item", _REMEDY)
        return
    declared = value.get("stac_extensions")
    names = [name for name in declared if isinstance(name, str)] if isinstance(declared, list) else []
    for name in sorted(set(names) - _FILES.keys()):
        yield Problem(where, f"uses the extension {name}, which no release does and cannot be checked here", _REMEDY)
    for name in sorted(_used(value) - set(names)):
        yield Problem(where, f"has fields of the extension {name} and does not declare it", _REMEDY)
    try:
        for validator in (_core(kind), *(_extension(name) for name in names if name in _FILES)):
            # is_valid is many times faster than collecting errors, and nearly always enough.
            if not validator.is_valid(value):
                for error in validator.iter_errors(value):
                    yield Problem(where, _explain(error), _REMEDY)
    except ValueError as error:
        yield Problem(where, f"cannot be checked ({error})", _REMEDY)


def _explain(error: jsonschema_rs.ValidationError) -> str:
    """Return the place and the message; of alternatives that all fail, what each of them misses."""
    branches = getattr(error.kind, "context", None)
    if branches:
        return ", or ".join(_explain(branch[0]) for branch in branches if branch)
    place = "/".join(map(str, error.instance_path))
    return f"{place}: {error.message[-300:]}" if place else error.message[-300:]


def _check_assets(release: Path, path: str, value: Json, digests: Mapping[str, str]) -> Iterator[Problem]:
    yield from _check_asset_files(path, path, value, digests)
    for name, asset in _assets(value):
        target = _resolve(path, asset.get("href"))
        size = asset.get("file:size")
        if target and size is not None and (release / target).is_file() and (release / target).stat().st_size != size:
            yield Problem(path, f"asset {name!r} says {size} bytes, {target} has another size", _REMEDY)


def _check_asset_files(where: str, path: str, value: Json, digests: Mapping[str, str]) -> Iterator[Problem]:
    for name, asset in _assets(value):
        target = _resolve(path, asset.get("href"))
        if target is None:
            yield Problem(where, f"asset {name!r} has no relative href", _REMEDY)
            continue
        if target not in digests and f"{target}/zarr.json" not in digests:
            yield Problem(where, f"asset {name!r} leads to {target}, which is no file of the release", _REMEDY)
        elif "file:checksum" in asset and asset["file:checksum"] != multihash(digests.get(target, "")):
            yield Problem(where, f"asset {name!r} has another checksum than {target}", _REMEDY)


def _assets(value: Json) -> list[tuple[str, Json]]:
    assets = value.get("assets")
    if not isinstance(assets, dict):
        return []  # the schema has said so
    return [(name, asset) for name, asset in assets.items() if isinstance(asset, dict)]


def _targets(path: str, value: Json) -> Iterator[tuple[str, str]]:
    links = value.get("links")
    for link in links if isinstance(links, list) else []:
        target = _resolve(path, link.get("href")) if isinstance(link, dict) else None
        if target is not None:
            yield str(link.get("rel")), target


def _resolve(path: str, href: Any) -> str | None:
    """Return the path in the release that a relative href of the file `path` names; None for anything else."""
    if not isinstance(href, str) or "://" in href or href.startswith("/"):
        return None
    parts: list[str] = list(PurePosixPath(path).parent.parts)
    for part in PurePosixPath(href).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _used(value: Json) -> set[str]:
    """Return the extensions of whose fields there are any in a catalog, collection or item."""
    within = [value.get(name) for name in ("assets", "item_assets")]
    parts = [
        value,
        value.get("properties"),
        *(part for each in within if isinstance(each, dict) for part in each.values()),
    ]
    fields = {field for part in parts if isinstance(part, dict) for field in part}
    return {_EXTENSIONS[prefix] for field in fields if (prefix := field.partition(":")[0]) in _EXTENSIONS}


@cache
def _core(kind: str) -> jsonschema_rs.Validator:
    known = _known()
    schema = known[f"{_SCHEMAS}/{kind}-spec/json-schema/{kind}.json"]
    return jsonschema_rs.Draft7Validator(schema, registry=_registry(), validate_formats=True)


@cache
def _extension(url: str) -> jsonschema_rs.Validator:
    text = resources.files("catalog.stac_schemas").joinpath(f"{_FILES[url]}.json").read_text(encoding="utf-8")
    return jsonschema_rs.Draft7Validator(json.loads(text), registry=_registry(), validate_formats=True)


@cache
def _registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry(list(_known().items()))


@cache
def _known() -> dict[str, Json]:
    """Return the schemas that others refer to, by address."""
    folder = resources.files("pystac.validation.jsonschemas")

    def schema(name: str) -> Json:
        return dict(json.loads(folder.joinpath(name).read_text(encoding="utf-8")))

    known = {
        f"https://geojson.org/schema/{name}.json": schema(f"geojson/{name}.json") for name in ("Feature", "Geometry")
    }
    for name in _PARTS:
        known[f"{_SCHEMAS}/item-spec/json-schema/{name}.json"] = schema(f"stac-spec/v1.1.0/{name}.json")
    for name in ("item", "catalog", "collection"):
        known[f"{_SCHEMAS}/{name}-spec/json-schema/{name}.json"] = schema(f"stac-spec/v1.1.0/{name}.json")
    # PROJ brings the schema of its JSON; a release names its CRS by code or WKT instead.
    projjson = Path(get_data_dir()) / "projjson.schema.json"
    known[_PROJJSON] = json.loads(projjson.read_text(encoding="utf-8")) if projjson.exists() else {}
    known[_PROJJSON].pop("$id", None)  # whichever version this PROJ has
    return known
