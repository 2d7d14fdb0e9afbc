"""What a kind of dataset tells the catalog: its columns, images, layout of files, STAC items, and text of its card.

A schema is a subclass of `Schema`; `catalog.pairs` is one. A record is one row of the manifest. A role is one of the
images that every record has.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic

import pyarrow as pa
import shapely

from catalog.errors import CatalogError
from catalog.model import EXTENSIONS, Contents, Format, Json, OriginalT, Placed
from raster.names import NameFault, installed, load

ENTRY_POINTS = "mapdata.schemas"
"""Group of entry points by which a package registers the schemas it brings."""

_BUILTIN = {"pairs": "catalog.pairs:SCHEMA", "images": "catalog.landmarks:SCHEMA"}
"""Schemas of this package: the name that a release records -> `module:NAME`."""

_BBOX = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in ("xmin", "ymin", "xmax", "ymax")])
_FIELD = re.compile(r"\{\w+\}")
_CREDITS = ("source", "licence", "attribution", "date")


def column(name: str, kind: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    """Return a column with its description, which the card and the Croissant metadata print.

    Args:
        name: Unique in its table.
        kind: Arrow type.
        description: One phrase without a full stop.
        nullable: Whether rows may lack a value.
    """
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


@dataclass(frozen=True)
class Role:
    """An image that every record has.

    Attributes:
        name: Prefix of the role's columns: `<name>_digest`, `<name>_bytes`, `<name>_source`, `<name>_licence`,
            `<name>_attribution`, `<name>_date`; name of its array in the Zarr store.
        path: Place of its file in the release, without the suffix: a template of columns that ends in the key, such as
            `Photos/{place_id}/{photo_id}`. The first folder holds nothing else.
    """

    name: str
    path: str

    def pattern(self, kind: str) -> str:
        """Return the glob pattern of the role's files of an image format."""
        return f"{_FIELD.sub('*', self.path)}.{EXTENSIONS[kind]}"


@dataclass(frozen=True, order=True)
class Credit:
    """Who is to be named for an image or raster: `role` as in `Role`, the rest as in its columns."""

    role: str
    source: str
    licence: str
    attribution: str
    date: str


class Schema(ABC, Generic[OriginalT]):
    """A kind of dataset. Its columns must hold the key, the group, `split`, `verdict`, `reasons`, `format`, `geometry`
    (WKB, WGS84) and those of each role; `size` (pixels) if it can be published as Zarr.

    Attributes:
        name: Plural that names records ("pairs"), recorded in the release; names the table of STAC items, too.
        noun: Its singular.
        key: Column that is unique.
        group: Column whose records all lie in one split.
        order: Columns that order the manifest.
        columns: What is given of each record.
        roles: The images of each record.
        extensions: URLs of the STAC extensions that `record_fields` uses.
        summaries: STAC properties of `items` whose values the collection lists.
        splits: Names of the splits, in the order of tables.
        advice: What the card says of using them.
        splitting: Sentence of the card: by what records are split, and why.
        keywords: Of the STAC collection.
        tags: Of the card, for dataset hubs.
        holds: What the card says of each format.
        loading: Further Python examples of the card; PATH stands for the release.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    key: ClassVar[str]
    group: ClassVar[str]
    order: ClassVar[tuple[str, ...]]
    columns: ClassVar[pa.Schema]
    roles: ClassVar[tuple[Role, ...]]
    extensions: ClassVar[tuple[str, ...]] = ()
    summaries: ClassVar[tuple[str, ...]] = ()
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    advice: ClassVar[str] = "Train on `train`, choose on `val`"
    splitting: ClassVar[str]
    keywords: ClassVar[tuple[str, ...]] = ()
    tags: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[Mapping[Format, str]] = {}
    loading: ClassVar[tuple[str, ...]] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """Return the names of the roles."""
        return tuple(role.name for role in self.roles)

    @cached_property
    def manifest(self) -> pa.Schema:
        """Return the columns of the manifest: those given, then those that the catalog derives."""
        paths = [
            column(
                f"{name}_path",
                pa.string(),
                f"place of the {name} image in the folder layout; null if it has no file",
                True,
            )
            for name in self.images
        ]
        index = column("zarr_index", pa.int32(), "position in the arrays of the Zarr store; null if rejected", True)
        bbox = column("bbox", _BBOX, "bounds of geometry; xmin > xmax where it crosses the antimeridian")
        return pa.schema([*self.columns, *paths, index, bbox])

    @cached_property
    def sources(self) -> pa.Schema:
        """Return the columns of the table that says where pixels are before they are published."""
        files = [
            column(f"{name}_file", pa.string(), f"file that holds the {name} image, relative to a folder")
            for name in self.images
        ]
        index = column("index", pa.int32(), "of the image in the file's array if the format is npy, else 0")
        return pa.schema([column(self.key, pa.string(), "as in the manifest"), *files, index])

    def check(self, contents: Contents[OriginalT], manifest: pa.Table) -> None:
        """Check that records and originals do not contradict each other; nothing is checked unless overridden.

        Args:
            contents: What a release is built from.
            manifest: As made of its records.

        Raises:
            CatalogError: They do.
        """

    def faults(self, manifest: pa.Table) -> Iterator[str]:
        """Yield what may not be published of a manifest that was read back; `verify` asks, perhaps of a stranger's."""
        yield from ()

    def files(self, original: OriginalT, formats: frozenset[Format]) -> Iterable[tuple[Path, str, str | None]]:
        """Yield files that go with an original; none unless overridden.

        Args:
            original: One of `Contents.originals`.
            formats: Those of the release, which decide whether the files are wanted.

        Yields:
            Where the file is, its path in the release, and its BLAKE3 digest; None where it is not known.
        """
        return ()

    def thumbnail(self, original: OriginalT) -> bytes | None:
        """Return a small picture of an original as JPEG; None, which is the default, if there is none.

        Args:
            original: One of `Contents.originals`.
        """
        return None

    def tables(self, contents: Contents[OriginalT]) -> Mapping[str, pa.Table]:
        """Return further tables of the release: file name -> table, written as Parquet beside the manifest."""
        return {}

    def original_id(self, original: OriginalT) -> str:
        """Return the name of an original, unique in the release; the id of its STAC item.

        Args:
            original: One of `Contents.originals`.

        Raises:
            NotImplementedError: The schema has originals and does not override this.
        """
        raise NotImplementedError(f"{type(self).__name__} has originals but does not name them")

    def items(
        self, contents: Contents[OriginalT], manifest: pa.Table, placed: Mapping[str, list[Placed]]
    ) -> Iterator[Json]:
        """Yield a STAC item an original, by `catalog.stac.make_item`; none unless overridden.

        Args:
            contents: What a release is built from.
            manifest: As made of its records.
            placed: By `original_id`: the files of each that are in the release.
        """
        yield from ()

    def parents(self, rows: pa.Table) -> pa.ChunkedArray | None:
        """Return the id of the STAC item that each record was made from; None if the schema has no such items.

        Args:
            rows: Accepted records of the manifest, in its order.

        Returns:
            One id a record.
        """
        return None

    def record_fields(self, rows: pa.Table) -> Mapping[str, Any]:
        """Return further columns of the table of STAC items, one value a record."""
        return {}

    def described(self, rows: pa.Table) -> pa.Table:
        """Return what readers of images get of each record: the manifest's columns, and its footprint as WKT.

        Args:
            rows: Published rows of the manifest; where their images lie in the release is left out.
        """
        left_out = {"verdict", "reasons", "geometry", "zarr_index", *(f"{role}_path" for role in self.images)}
        table = rows.drop_columns([name for name in rows.column_names if name in left_out])
        footprint = pa.array(shapely.to_wkt(shapely.from_wkb(rows["geometry"].to_numpy())), pa.string())
        return table.append_column("footprint", footprint).replace_schema_metadata(None)

    def bundles(
        self, release: Path, rows: pa.Table
    ) -> Iterator[tuple[str, Json, list[tuple[str, str, Mapping[str, Any]]]]]:
        """Yield the samples of WebDataset shards: a record each, unless overridden.

        Args:
            release: Folder of the release, for further tables.
            rows: Published rows of the manifest, of one split.

        Yields:
            The key, the facts, and of each image its name in the sample, its role, and its row of the manifest.
        """
        for batch in rows.to_batches(max_chunksize=4096):
            for row, facts in zip(batch.to_pylist(), self.described(pa.table(batch)).to_pylist(), strict=True):
                yield row[self.key], facts, [(role, role, row) for role in self.images]

    def facts(self, contents: Contents[OriginalT]) -> Json:
        """Return what `release.json` says besides what it says of every schema."""
        return {}

    def credits(self, contents: Contents[OriginalT]) -> Iterator[Credit]:
        """Yield whom to name, once for each image; a schema cut from rasters names them once a raster."""
        for role in self.images:
            columns = (contents.records[f"{role}_{name}"].to_pylist() for name in _CREDITS)
            yield from (Credit(role, *row) for row in zip(*columns, strict=True))

    def sections(self) -> Mapping[str, str]:
        """Return sections of the card, heading -> Markdown, that explain the records."""
        return {}

    def findings(self, contents: Contents[OriginalT]) -> Mapping[str, str]:
        """Return sections of the card, heading -> Markdown, that say what was measured of these very contents."""
        return {}

    @abstractmethod
    def provenance(self, contents: Contents[OriginalT]) -> str:
        """Return a sentence for the card: how the records were made."""

    @abstractmethod
    def sample(self, row: Mapping[str, Any], images: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a PyTorch dataset gives for a record.

        Args:
            row: Of the manifest: column -> Python value.
            images: By role: tensors (3, H, W), as the dataset's transform leaves them.
        """


def find_schema(name: object) -> Schema[Any]:
    """Return the schema of that name: one of this package, or one that an installed package registers.

    A release names its schema, and a release may come from a stranger: so a name is looked up, never imported.

    Raises:
        CatalogError: No schema of that name is installed.
    """
    targets = installed(ENTRY_POINTS) | _BUILTIN
    if not isinstance(name, str) or name not in targets:
        known = ", ".join([*_BUILTIN, *(each for each in targets if each not in _BUILTIN)])
        raise CatalogError(f"schema {name!r} is not known here ({known} are); install the package that brings it")
    try:
        schema = load("schema", name, targets[name])
    except NameFault as error:
        raise CatalogError(str(error)) from error
    if not isinstance(schema, Schema):
        raise CatalogError(f"{targets[name]}: is no catalog.schema.Schema; name an instance of one")
    return schema


def conform(table: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """Return `table` with exactly the columns of `schema`, in its order and types.

    Args:
        table: Any table; columns that `schema` lacks are dropped.
        schema: The columns wanted; values that may not be null are checked.
        what: How messages call the table.

    Raises:
        CatalogError: A column is missing, has another type, or lacks values it must have.
    """
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise CatalogError(f"{what} lacks the columns {', '.join(missing)}; make it with the schema's columns")
    for field in schema:
        values = table.column(field.name)
        if not field.nullable and values.null_count:
            raise CatalogError(f"{what} has {values.null_count} rows without {field.name!r}; every row must have one")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise CatalogError(f"{what} has a column of the wrong type: {error}") from error


def markdown(columns: pa.Schema) -> str:
    """Return columns as a Markdown table."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{field.name}` | `{_kind(field.type)}` | {description(field)} |" for field in columns]
    return "\n".join(lines)


def description(field: pa.Field) -> str:
    """Return the description of a column made by `column`."""
    return str((field.metadata or {})[b"description"].decode())


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.value_type}[{kind.list_size}]"
    if pa.types.is_list(kind):
        return f"{kind.value_type}[]"
    if pa.types.is_struct(kind):
        return "struct<" + ", ".join(field.name for field in kind) + ">"
    return str(kind)
