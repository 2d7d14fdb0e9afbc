"""Croissant 1.0 metadata (JSON-LD) of a release: what MLCommons' readers and dataset search engines understand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.manifest import published
from catalog.model import IMAGE_TYPES, MANIFEST_NAME, Contents, Format, Json
from catalog.schema import Role, Schema, description

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

_TYPES = {"string": "sc:Text", "int32": "sc:Integer", "int64": "sc:Integer", "float": "sc:Float", "double": "sc:Float"}


def write_croissant(
    schema: Schema[Any], path: Path, contents: Contents[Any], manifest: pa.Table, formats: frozenset[Format]
) -> None:
    """Write `croissant.json` beside a manifest that is already written.

    Record sets: the manifest's plain columns by the schema's name, and, if the release has folders, `<role>_images`,
    each an image and its key.

    Args:
        schema: Names the record set and the roles.
        path: Where to, `CROISSANT_NAME` in the release; the manifest beside it is read for its digest.
        contents: What the release is built from.
        manifest: As `make_manifest` returns it.
        formats: Those of the release; image records need `FOLDERS`.
    """
    about = contents.about
    distribution, records = [_manifest_file(schema, path.parent / MANIFEST_NAME)], [_records(schema)]
    if Format.FOLDERS in formats and manifest.num_rows:
        kinds = sorted(pc.unique(published(manifest, ["format"])["format"]).to_pylist())
        for role in schema.roles:
            distribution.append(_images_file_set(schema, role, kinds))
            records.append(_images_records(schema, role.name))
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


def _manifest_file(schema: Schema[Any], path: Path) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": MANIFEST_NAME,
        "name": MANIFEST_NAME,
        "description": f"Every {schema.noun}, rejected ones included (GeoParquet).",
        "contentUrl": MANIFEST_NAME,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _records(schema: Schema[Any]) -> Json:
    fields = []
    for column in schema.manifest:
        repeated = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
        kind = _TYPES.get(str(column.type.value_type if repeated else column.type))
        if kind is None:  # bbox and geometry: Croissant has no type for them
            continue
        field: Json = {
            "@type": "cr:Field",
            "@id": f"{schema.name}/{column.name}",
            "name": f"{schema.name}/{column.name}",
            "description": description(column),
            "dataType": kind,
            "source": {"fileObject": {"@id": MANIFEST_NAME}, "extract": {"column": column.name}},
        }
        fields.append(field | ({"repeated": True} if repeated else {}))
    name = schema.name
    key = {"@id": f"{name}/{schema.key}"}
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": key, "field": fields}


def _images_file_set(schema: Schema[Any], role: Role, kinds: list[str]) -> Json:
    return {
        "@type": "cr:FileSet",
        "@id": f"{role.name}-files",
        "name": f"{role.name}-files",
        "description": f"The {role.name} images of all published {schema.name}.",
        "encodingFormat": [IMAGE_TYPES[kind] for kind in kinds],
        "includes": [role.pattern(kind) for kind in kinds],
    }


def _images_records(schema: Schema[Any], role: str) -> Json:
    name = f"{role}_images"
    source: Json = {"fileSet": {"@id": f"{role}-files"}}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/{schema.key}"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{schema.key}",
                "name": f"{name}/{schema.key}",
                "description": f"{schema.key} of the record set {schema.name}",
                "dataType": "sc:Text",
                "source": source | {"extract": {"fileProperty": "filename"}, "transform": {"regex": r"^(.*)\.\w+$"}},
            },
            {
                "@type": "cr:Field",
                "@id": f"{name}/image",
                "name": f"{name}/image",
                "description": f"the {role} image",
                "dataType": "sc:ImageObject",
                "source": source | {"extract": {"fileProperty": "content"}},
            },
        ],
    }
