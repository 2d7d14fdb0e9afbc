"""The schema of map-visible pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import CatalogError
from catalog.model import Contents, Format, Json, Placed
from catalog.pairs.agreement import operator_agreement
from catalog.pairs.columns import PAIRS
from catalog.pairs.items import count_by_raster_pair, pair_fields, raster_pair_item
from catalog.pairs.model import RasterPair
from catalog.pairs.thumbnail import pair_thumbnail
from catalog.schema import Credit, Role, Schema
from catalog.stac import PROJECTION

_TRUTH = """\
The two images of a pair show the same ground and lie on each other, as well as their rasters were aligned: the
homography between them is the identity. The column `homography` holds the transform by which the whole map raster was
laid on the visible raster; `residual_px`, `inliers` and `method` say how well it fits and what found it, so that pairs
can be chosen by quality. Pixel (0, 0) is the centre of the top-left pixel."""


class PairSchema(Schema[RasterPair]):
    """Pairs of a map image and a visible image, cut from raster pairs, split by sampling point."""

    name: ClassVar[str] = "pairs"
    noun: ClassVar[str] = "pair"
    key: ClassVar[str] = "pair_id"
    group: ClassVar[str] = "point_id"
    order: ClassVar[tuple[str, ...]] = ("point_id", "site_id", "row", "col")
    columns: ClassVar[pa.Schema] = PAIRS
    # L and R are the names that the MapData paper gives the two sides.
    roles: ClassVar[tuple[Role, ...]] = (
        Role("map", "MapData/{point_id}/{site_id}/L/{pair_id}"),
        Role("visible", "MapData/{point_id}/{site_id}/R/{pair_id}"),
    )
    extensions: ClassVar[tuple[str, ...]] = (PROJECTION,)
    summaries: ClassVar[tuple[str, ...]] = ("proj:code", "mapdata:method", "mapdata:stratum")
    splitting: ClassVar[str] = (
        "Pairs are split by sampling point, never by tile, so that no ground is seen in two splits."
    )
    keywords: ClassVar[tuple[str, ...]] = ("image matching", "map", "remote sensing", "registration", "homography")
    tags: ClassVar[tuple[str, ...]] = ("image-matching", "remote-sensing", "maps", "homography-estimation")
    holds: ClassVar[Mapping[Format, str]] = {
        Format.FOLDERS: "`MapData/<point>/<site>/L/*` the map images, `R/*` the visible images of the same names",
        Format.ZARR: "`mapdata.zarr` the images as two arrays `map` and `visible` (N, size, size, 3), Zarr v3, sharded",
        Format.RASTERS: "`rasters/<point>/<site>/{map,visible}.tif` the raster pairs that the images were cut from",
        Format.COGS: "`rasters/` holds the raster pairs as Cloud-Optimized GeoTIFFs: the same pixels, with overviews",
        Format.STAC: "`stac/catalog.json` a static STAC catalog: an item a raster pair; `stac/pairs.parquet`: one a "
        "pair",
        Format.FOOTPRINTS: "`footprints.fgb` the outlines of the pairs as FlatGeobuf, for QGIS and GDAL",
    }
    loading: ClassVar[tuple[str, ...]] = (
        'from mapdata import open_dataset\n\ntrain = open_dataset("PATH", split="train")  # a PyTorch Dataset\n'
        'pair = train[0]  # pair["map"], pair["visible"]: (3, size, size) float32 in [0, 1]',
        'import geopandas\n\npairs = geopandas.read_parquet("PATH/manifest.parquet")\n'
        'good = pairs[(pairs.verdict == "accepted") & (pairs.residual_px < 2)]',
    )

    def check(self, contents: Contents[RasterPair], manifest: pa.Table) -> None:
        """Raise CatalogError if a pair comes from a raster pair that is not given."""
        lost = sorted(set(pc.unique(self.parents(manifest)).to_pylist()) - {pair.id for pair in contents.originals})
        if lost:
            raise CatalogError(f"no raster pair is given for {', '.join(lost)}, though pairs come from it")

    def files(self, original: RasterPair, formats: frozenset[Format]) -> Iterator[tuple[Path, str, str | None]]:
        """Yield the two rasters and the evidence of their alignment, as the formats want them."""
        folder = f"{original.point_id}/{original.site_id}"
        if formats & {Format.RASTERS, Format.COGS} and original.review != "rejected":
            for side, raster in original.sides.items():
                yield raster.file, f"rasters/{folder}/{side}.tif", raster.digest
        if Format.STAC in formats:
            for path in original.evidence:
                yield path, f"alignment/{folder}/{path.name}", None

    def thumbnail(self, original: RasterPair) -> bytes | None:
        """Return the map and the visible raster side by side."""
        return pair_thumbnail(original)

    def original_id(self, original: RasterPair) -> str:
        """Return the raster pair's id."""
        return original.id

    def items(
        self, contents: Contents[RasterPair], manifest: pa.Table, placed: Mapping[str, list[Placed]]
    ) -> Iterator[Json]:
        """Yield an item a raster pair."""
        counts = count_by_raster_pair(manifest)
        for pair in contents.originals:
            yield raster_pair_item(pair, counts.get(pair.id, {}), placed[pair.id], contents.about)

    def parents(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return the id of each pair's raster pair."""
        return pc.binary_join_element_wise(rows["point_id"], rows["site_id"], "_")

    def record_fields(self, rows: pa.Table) -> Mapping[str, Any]:
        """Return the grid, the homography and the quality of each pair."""
        return pair_fields(rows)

    def facts(self, contents: Contents[RasterPair]) -> Json:
        """Return the number of raster pairs."""
        return {"raster_pairs": len(contents.originals)}

    def credits(self, contents: Contents[RasterPair]) -> Iterator[Credit]:
        """Yield whom to name, once for each raster."""
        for pair in contents.originals:
            for side, raster in pair.sides.items():
                yield Credit(side, raster.source, raster.licence, raster.attribution, raster.date)

    def sections(self) -> Mapping[str, str]:
        """Return what the ground truth is."""
        return {"Ground truth": _TRUTH}

    def findings(self, contents: Contents[RasterPair]) -> Mapping[str, str]:
        """Return how well people agree who marked tie points."""
        return operator_agreement(contents.originals)

    def provenance(self, contents: Contents[RasterPair]) -> str:
        """Say how many raster pairs there are and what aligned them."""
        pairs = contents.originals
        methods = ", ".join(sorted({pair.method for pair in pairs})) or "none"
        points = len({pair.point_id for pair in pairs})
        seed = contents.about.seed
        return f"{len(pairs)} raster pairs of {points} sampling points (seed {seed}), aligned by: {methods}."

    def sample(self, row: Mapping[str, Any], images: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a `catalog.pairs.sample.Pair`."""
        from catalog.pairs.sample import make_pair  # brings PyTorch, which building does without

        return make_pair(row, images)
