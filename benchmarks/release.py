"""A release at full size: 121,781 simulated pairs of 699 raster pairs, and the Zarr store on a sample with pixels.

    python benchmarks/release.py --json

Rows and digests are simulated, in the tables that the stages pass to each other; every step is the one that a real
release takes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pyarrow as pa
import shapely
from _machine import report

from catalog.checksums import digest
from catalog.manifest import make_manifest, published, read_manifest, write_manifest
from catalog.model import CARD_NAME, MANIFEST_NAME, About, Contents, Placed
from catalog.pairs import SCHEMA
from catalog.pairs.model import Raster, RasterPair
from catalog.stac import write_stac
from catalog.stac_check import check_stac
from catalog.stac_table import write_table
from catalog.store import write_store
from catalog.verify import check_manifest
from stages.release import join_pairs
from stages.tables import CLEAN, PAIRS, SPLIT

PAIR_COUNT = 121_781
RASTER_PAIRS = 699
SAMPLE = 300
T = TypeVar("T")


@dataclass
class Clock:
    """Seconds a step, printed as they come."""

    figures: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Do `work` and keep how long it took."""
        start = time.perf_counter()
        result = work()
        self.figures[f"{name}_s"] = round(time.perf_counter() - start, 2)
        return result


def simulate(rng: np.random.Generator) -> tuple[pa.Table, pa.Table, pa.Table, list[RasterPair]]:
    """Return tiles, verdicts, splits and raster pairs of a dataset of the paper's size."""
    per_raster = np.full(RASTER_PAIRS, PAIR_COUNT // RASTER_PAIRS)
    per_raster[: PAIR_COUNT % RASTER_PAIRS] += 1
    owner = np.repeat(np.arange(RASTER_PAIRS), per_raster)
    place = np.concatenate([np.arange(count) for count in per_raster])
    point = np.array([f"{index // 3 + 1:03d}" for index in range(RASTER_PAIRS)])[owner]
    site = np.array([f"{index % 3 + 1}" for index in range(RASTER_PAIRS)])[owner]
    row, col = place // 14, place % 14
    names = [f"{p}_{s}_{r:04d}_{c:04d}" for p, s, r, c in zip(point, site, row, col, strict=True)]
    west, north = rng.uniform(-179, 178, RASTER_PAIRS), rng.uniform(-60, 70, RASTER_PAIRS)
    left, top = west[owner] + col * 0.005, north[owner] - row * 0.005
    columns: dict[str, Any] = {
        "pair_id": names,
        "point_id": point,
        "site_id": site,
        "row": row,
        "col": col,
        "size": np.full(PAIR_COUNT, 512),
        "format": ["png"] * PAIR_COUNT,
        "crs": ["EPSG:3857"] * PAIR_COUNT,
        "transform": [[0.8, 0.0, 1.0, 0.0, -0.8, 2.0]] * PAIR_COUNT,
        "geometry": shapely.to_wkb(shapely.box(left, top - 0.005, left + 0.005, top)),
        "homography": [[1.0, 0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 1.0]] * PAIR_COUNT,
        "residual_px": rng.gamma(2, 0.4, PAIR_COUNT),
        "inliers": rng.integers(20, 400, PAIR_COUNT),
        "method": ["tie points"] * PAIR_COUNT,
        "index": np.zeros(PAIR_COUNT),
    }
    for side in ("map", "visible"):
        columns[f"{side}_path"] = [f"tiles/{side}/{name}.png" for name in names]
        columns[f"{side}_digest"] = [rng.bytes(32).hex() for _ in names]
        columns[f"{side}_bytes"] = rng.integers(50_000, 600_000, PAIR_COUNT)
    tiles = pa.table(
        [
            pa.array(columns[kind.name], kind.type, from_pandas=True)
            if kind.name in columns
            else pa.array(rng.integers(0, 200, PAIR_COUNT).astype(kind.type.to_pandas_dtype()), kind.type)
            for kind in PAIRS
        ],
        schema=PAIRS,
    )
    rejected = rng.random(PAIR_COUNT) < 0.1
    clean = pa.table(
        [
            names,
            np.where(rejected, "rejected", "accepted"),
            [["map: blank, 2% of its pixels have an edge"] if no else [] for no in rejected],
            *(pa.nulls(PAIR_COUNT, pa.string()) for _ in ("review", "operator")),
        ],
        schema=CLEAN,
    )
    split = pa.table([names, point, point, rng.choice(["train", "val", "test"], 1000)[point.astype(int)]], schema=SPLIT)
    rasters = [_raster_pair(index, float(west[index]), float(north[index])) for index in range(RASTER_PAIRS)]
    return tiles, clean, split, rasters


def _raster_pair(index: int, west: float, north: float) -> RasterPair:
    def raster(side: str) -> Raster:
        transform = (0.8, 0.0, 1.0, 0.0, -0.8, 2.0)
        facts = (f"{side} service", "CC-BY-4.0", f"© {side} service", "2024", 0.0)
        return Raster(Path(f"{side}.tif"), "0" * 64, 10**8, 7000, 5000, "EPSG:3857", transform, *facts)

    footprint = shapely.to_wkb(shapely.box(west, north - 0.07, west + 0.07, north))
    homography = (1.0, 0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 1.0)
    point, site = f"{index // 3 + 1:03d}", f"{index % 3 + 1}"
    return RasterPair(point, site, raster("map"), raster("visible"), footprint, 0.8, homography, "tie points", 0.8, 90)


def measure_full_size(folder: Path, clock: Clock) -> None:
    """Time every step that has one row a pair."""
    tiles, clean, split, rasters = simulate(np.random.default_rng(0))
    pairs, sources = clock.time("join_clean_split_rasters", lambda: join_pairs(tiles, clean, split, rasters))
    manifest = clock.time("make_manifest", lambda: make_manifest(SCHEMA, pairs))
    path = folder / MANIFEST_NAME
    clock.time("write_manifest", lambda: write_manifest(manifest, path))
    clock.time("read_manifest", lambda: read_manifest(SCHEMA, path.parent))
    clock.time("write_pairs_as_items_table", lambda: write_table(SCHEMA, manifest, folder, folders=True, store=False))
    about = About("MapData", "Simulated.", "1.0", "other", "MapData", "", {"mapdata": "0"}, seed=0)
    (folder / CARD_NAME).touch()
    contents = Contents(about, pairs, sources, rasters)
    placed = {
        pair.id: [
            Placed(f"rasters/{pair.point_id}/{pair.site_id}/{side}.tif", 10**8, "0" * 64) for side in ("map", "visible")
        ]
        for pair in rasters
    }
    clock.time("write_raster_pairs_as_items", lambda: write_stac(SCHEMA, folder, contents, manifest, placed))
    found = clock.time("check_manifest", lambda: list(check_manifest(SCHEMA, manifest)))
    rows = published(manifest)
    digests = {file.path: file.digest for files in placed.values() for file in files}
    for side in ("map", "visible"):
        digests |= dict(zip(rows[f"{side}_path"].to_pylist(), rows[f"{side}_digest"].to_pylist(), strict=True))
    digests |= {name: digest(folder / name) for name in ("stac/pairs.parquet", MANIFEST_NAME, CARD_NAME)}
    found += clock.time("validate_stac_every_item", lambda: list(check_stac(SCHEMA, folder, digests, manifest)))
    if found:
        raise SystemExit(f"the simulated release has problems, such as {found[0]}")
    clock.figures["manifest_mb"] = round(path.stat().st_size / 1e6, 1)
    clock.figures["items_table_mb"] = round((folder / "stac/pairs.parquet").stat().st_size / 1e6, 1)


def measure_store(folder: Path, clock: Clock) -> None:
    """Time the Zarr store on textured 512 x 512 pairs held as PNG."""
    rng = np.random.default_rng(1)
    tiles, clean, split, rasters = simulate(rng)
    pairs, _ = join_pairs(tiles, clean, split, rasters)
    manifest = make_manifest(SCHEMA, pairs).slice(0, SAMPLE * 2)
    manifest = manifest.filter(pa.array(manifest["zarr_index"].is_valid())).slice(0, SAMPLE)
    scene = cv2.GaussianBlur(rng.integers(0, 256, (4096, 4096, 3), dtype=np.uint8), (0, 0), 1.5)
    files = []
    for index in range(SAMPLE):
        x, y = (index * 61) % 3584, (index * 97) % 3584
        files.append(f"{index}.png")
        cv2.imwrite(str(folder / files[-1]), scene[y : y + 512, x : x + 512])
    index = pa.array(np.zeros(SAMPLE), pa.int32())
    sources = pa.table([manifest["pair_id"], pa.array(files), pa.array(files), index], schema=SCHEMA.sources)
    clock.time("zarr_sample", lambda: write_store(SCHEMA, manifest, sources, folder, folder / "s.zarr"))
    raw = SAMPLE * 2 * 512 * 512 * 3 / 1e6
    clock.figures["zarr_raw_mb_per_s"] = round(raw / clock.figures["zarr_sample_s"], 1)
    clock.figures["zarr_pairs_per_s"] = round(SAMPLE / clock.figures["zarr_sample_s"], 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        measure_full_size(Path(folder), clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with tempfile.TemporaryDirectory() as folder:
        measure_store(Path(folder), clock)
    workload = {"pairs": PAIR_COUNT, "raster_pairs": RASTER_PAIRS, "zarr_sample_pairs": SAMPLE, "tile_px": 512}
    figures = clock.figures | {"peak_memory_of_full_size_gib": round(peak, 2)}
    report("release", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
