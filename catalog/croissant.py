"""Croissant 1.0 metadata (JSON-LD) of a release: what MLCommons' readers and dataset search engines understand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog.manifest import EXTENSIONS, LETTERS, published
from catalog.model import FOLDERS_NAME, MANIFEST_NAME, SIDES, Contents, Format
from catalog.schema import MANIFEST

Json = dict[str, Any]

_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_TYPES = {"string": "sc:Text", "int32": "sc:Integer", "int64": "sc:Integer", "double": "sc:Float"}
_IMAGE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def write_croissant(path: Path, contents: Contents, manifest: pa.Table, formats: frozenset[Format]) -> None:
    """Write `croissant.json` beside a manifest that is already written.

    Record sets: `pairs`, the manifest's plain columns, and, if the release has folders, `map_images` and
    `visible_images`, each an image and its pair_id.
    """
    about = contents.about
    distribution, records = [_manifest_file(path.parent / MANIFEST_NAME)], [_pairs()]
    if Format.FOLDERS in formats and manifest.num_rows:
        kinds = sorted(set(published(manifest)["format"].to_pylist()))
        for side in SIDES:
            distribution.append(_images_file_set(side, kinds))
            records.append(_images_records(side))
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.title,
        "description": about.description,
        "license": about.licence,
        **({"url": about.url} if about.url else {}),
        "version": about.version,
        "creator": {"@type": "sc:Organization", "name": about.creator},
        "citeAs": f"{about.creator}: {about.title}, version {about.version}",
        "distribution": distribution,
        "recordSet": records,
    }
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _manifest_file(path: Path) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": MANIFEST_NAME,
        "name": MANIFEST_NAME,
        "description": "Every pair, rejected ones included (GeoParquet).",
        "contentUrl": MANIFEST_NAME,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _pairs() -> Json:
    fields = []
    for column in MANIFEST:
        repeated = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
        kind = _TYPES.get(str(column.type.value_type if repeated else column.type))
        if kind is None:  # bbox and geometry: Croissant has no type for them
            continue
        field: Json = {
            "@type": "cr:Field",
            "@id": f"pairs/{column.name}",
            "name": f"pairs/{column.name}",
            "description": (column.metadata or {})[b"description"].decode(),
            "dataType": kind,
            "source": {"fileObject": {"@id": MANIFEST_NAME}, "extract": {"column": column.name}},
        }
        fields.append(field | ({"repeated": True} if repeated else {}))
    return {"@type": "cr:RecordSet", "@id": "pairs", "name": "pairs", "key": {"@id": "pairs/pair_id"}, "field": fields}


def _images_file_set(side: str, kinds: list[str]) -> Json:
    return {
        "@type": "cr:FileSet",
        "@id": f"{side}-files",
        "name": f"{side}-files",
        "description": f"The {side} images of all published pairs.",
        "encodingFormat": [_IMAGE_TYPES[kind] for kind in kinds],
        "includes": [f"{FOLDERS_NAME}/*/*/{LETTERS[side]}/*.{EXTENSIONS[kind]}" for kind in kinds],
    }


def _images_records(side: str) -> Json:
    name = f"{side}_images"
    source: Json = {"fileSet": {"@id": f"{side}-files"}}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/pair_id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/pair_id",
                "name": f"{name}/pair_id",
                "description": "pair_id of the record set pairs",
                "dataType": "sc:Text",
                "source": source | {"extract": {"fileProperty": "filename"}, "transform": {"regex": r"^(.*)\.\w+$"}},
            },
            {
                "@type": "cr:Field",
                "@id": f"{name}/image",
                "name": f"{name}/image",
                "description": f"the {side} image",
                "dataType": "sc:ImageObject",
                "source": source | {"extract": {"fileProperty": "content"}},
            },
        ],
    }
