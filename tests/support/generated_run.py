"""A small run over generated rasters: maps and images of far points, and the configuration of all stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from affine import Affine

from mapdata.recipes import load_recipe
from pipeline.ledger import Ledger
from pipeline.run import Request, run
from pipeline.workspace import Workspace

SIDE = 900
"""Pixels of each raster: nine tiles of 256 px, with a rest."""

CONFIG = """
name: generated
seed: 3
stages:
  sample:
    sites:
{sites}
  acquire:
    map: {{kind: geotiff, path: "{{point_id}}_map.tif", source: drawn map, licence: CC0-1.0, attribution: the test}}
    visible:
      kind: geotiff
      path: "{{point_id}}_visible.tif"
      source: noise
      licence: CC-BY-4.0
      attribution: the test
      date: "2024"
  align: {{method: {method}}}
  tile: {{size: 256, format: {tiles}}}
  split: {{shares: {{train: 0.34, val: 0.33, test: 0.33}}, distance_km: 5}}
  release: {{title: Generated, formats: {formats}}}
"""


def write_rasters(folder: Path, points: int = 3, side: int = SIDE, alike: bool = True) -> None:
    """Write a map and an image a point; without `alike` nothing on the one shows on the other."""
    for point in range(points):
        rng = np.random.default_rng(point)
        visible = cv2.resize(rng.integers(0, 256, (side // 10, side // 10, 3), dtype=np.uint8), (side, side))
        seen = visible if alike else cv2.resize(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8), (side, side))
        edges = cv2.Canny(seen, 80, 160)[..., None]
        drawn = np.where(edges > 0, np.uint8(90), np.uint8(245)) + rng.integers(0, 9, (side, side, 3), dtype=np.uint8)
        transform = Affine(0.5, 0, 500_000 + 60_000 * point, 0, -0.5, 5_200_000)
        profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
        for name, image in (("map", drawn), ("visible", visible)):
            with rasterio.open(folder / f"{point + 1:03d}_{name}.tif", "w", transform=transform, **profile) as file:
                file.write(image.transpose(2, 0, 1))


def write_config(folder: Path, points: int = 3, name: str = "run", **given: str) -> Path:
    """Write the configuration of a run over such rasters; `method`, `tiles` and `formats` can be given."""
    sites = "\n".join(
        f'      - {{point: "{n + 1:03d}", site: "1", raster: "{n + 1:03d}_visible.tif"}}' for n in range(points)
    )
    values = {"method": "georeference", "tiles": "png", "formats": "[folders]"} | given
    path = folder / f"{name}.yaml"
    path.write_text(CONFIG.format(sites=sites, **values))
    return path


def run_config(config: Path, workspace: Path, failing: tuple[str, ...] = ()) -> set[str]:
    """Run a configuration; return the units done, as "stage unit". Only units of the stages `failing` may fail."""
    before = done_units(workspace)
    loaded = load_recipe(config)
    summary = run(loaded.stages, Workspace(workspace, create=True), Request(loaded.resolved, loaded.seed))
    assert {record.stage for record in summary.failures} <= {*failing}, summary.failures
    after = done_units(workspace)
    return {unit for unit, mark in after.items() if before.get(unit) != mark}


def done_units(workspace: Path) -> dict[str, tuple[Any, ...]]:
    """Return of every planned unit its key, how often it was tried and when it ended."""
    if not (workspace / "engine" / "ledger.sqlite").exists():
        return {}
    with Ledger(workspace / "engine" / "ledger.sqlite", read_only=True) as ledger:
        records = [record for stage in ledger.stages() for record in ledger.records(stage).values() if record.planned]
    return {f"{r.stage} {r.name}": (r.key, r.attempts, r.started, r.ended) for r in records}
