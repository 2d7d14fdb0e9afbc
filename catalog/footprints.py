"""The footprints of a release as FlatGeobuf, which every GDAL and QGIS opens; few of them read Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from catalog.manifest import published
from catalog.schema import Schema

FOOTPRINTS_NAME = "footprints.fgb"

_SIMPLE = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)


def write_footprints(schema: Schema[Any], manifest: pa.Table, path: Path) -> None:
    """Write a feature a published record: its outline, and its columns that hold one value each.

    The same records give the same bytes.

    Args:
        schema: Of the release.
        manifest: Of the release.
        path: The file, whose suffix is `.fgb`.
    """
    import pyogrio.raw

    rows = published(manifest)
    names = [field.name for field in rows.schema if any(fits(field.type) for fits in _SIMPLE)]
    shapes = shapely.from_wkb(rows["geometry"].to_numpy())
    kinds = {shape.geom_type for shape in shapes}
    pyogrio.raw.write(
        path,
        geometry=np.asarray(shapely.to_wkb(shapes), object),
        field_data=[_values(rows[name]) for name in names],
        field_mask=[rows[name].is_null().to_numpy() for name in names],
        fields=np.array(names),
        driver="FlatGeobuf",
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        crs="EPSG:4326",
    )


def _values(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    if pa.types.is_string(column.type):
        return np.array(column.fill_null("").to_pylist(), object)
    return np.asarray(column.fill_null(0).to_numpy())
