"""Stage `index`: distractors, images of places and things that are no landmark, among which the landmarks must be
found.

Input: the landmarks of `resolve`. Outputs: a unit for each 50 points, aerial images under `landmarks/index/<number>/`
with `images.parquet`; a unit for each 512 photographs of no landmark, where a folder of them is given, likewise under
`landmarks/index/ground-<number>/`. A point lies more than `least_distance_m` from every landmark; where the source is
no synthetic country, points are drawn about landmarks, each displaced by some kilometres, so that they are distributed
as the landmarks are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, Field
from scipy.spatial import cKDTree

from pipeline.stage import Estimate, Result, RunView, Stage, Unit
from stages.landmarks.aerial import AerialParams, image_outputs, write_chips
from stages.landmarks.distractors import BATCH as PHOTOGRAPHS
from stages.landmarks.distractors import GroundDistractors
from stages.landmarks.ground import per_landmark
from stages.landmarks.simulated import SimulatedAerial, country
from stages.landmarks.sources import key_params, problems_of
from stages.landmarks.tables import IMAGES, LANDMARKS, outputs_named, rows_of
from stages.tables import write_table

BATCH = 50
_EARTH_M = 6_371_000.0


class IndexParams(AerialParams):
    """How many distractors, and where."""

    points: int = Field(100_000, ge=0, description="Aerial distractors.")
    least_distance_m: float = Field(500.0, ge=0, description="Least distance from every landmark, metres.")
    spread_km: float = Field(15.0, gt=0, description="Standard deviation of a point's distance from a landmark, km.")
    ground: GroundDistractors | None = Field(None, description="Photographs of no landmark, from a folder; null: none.")


class IndexStage(Stage[IndexParams]):
    """Get distractors; a unit is 50 points."""

    name: ClassVar[str] = "index"
    version: ClassVar[int] = 3
    Params: ClassVar[type[BaseModel]] = IndexParams
    reads: ClassVar[tuple[str, ...]] = ("resolve",)
    roles: ClassVar[tuple[str, ...]] = ("aerial",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Choose the points and return them in batches."""
        tables = outputs_named(run.read("resolve"), "landmarks.parquet")
        landmarks = rows_of(run.workspace, [table.path for table in tables], LANDMARKS)
        if not landmarks:
            return []
        places = np.array([[row["lon"], row["lat"]] for row in landmarks])
        points = self._points(places, run.seed)
        batches = [points[start : start + BATCH] for start in range(0, len(points), BATCH)]
        units = [self.unit(f"{n:05d}", {"points": batch}, weight=len(batch)) for n, batch in enumerate(batches)]
        if self.params.ground is not None:
            images = self.params.ground.images({row["commons_category"] for row in landmarks})
            batches = [images[start : start + PHOTOGRAPHS] for start in range(0, len(images), PHOTOGRAPHS)]
            units += [self.unit(f"ground-{n:05d}", {"images": b}, weight=len(b)) for n, b in enumerate(batches)]
        return units

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Get the images of a batch."""
        folder = workspace / "landmarks" / "index" / unit.name
        rows: list[dict[str, Any]] = []
        if "images" in unit.payload:
            assert self.params.ground is not None
            rows, refused = self.params.ground.write(unit.payload["images"], folder, workspace)
            return self._written(rows, folder, workspace, {"images": len(rows), "refused": refused})
        left_out = 0
        for point in unit.payload["points"]:
            chips = self.params.source.latest(point, self.params.size, self.params.gsd, workspace)
            made, without = write_chips(chips, point, folder, workspace, self.params)
            rows += made
            left_out += without
        return self._written(rows, folder, workspace, {"images": len(rows), "without data": left_out})

    @staticmethod
    def _written(rows: list[dict[str, Any]], folder: Path, workspace: Path, data: dict[str, Any]) -> Result:
        """Write the table of a unit's images."""
        rows.sort(key=lambda row: str(row["image_id"]))
        write_table(folder / "images.parquet", rows, IMAGES)
        return Result(image_outputs(workspace, rows, folder / "images.parquet"), data)

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return what is wrong with the source: a contact that is not yours, a folder that is missing."""
        return problems_of(self.params)

    def key_params(self) -> Any:
        """Return the params, those that no result depends on left out."""
        return key_params(self.params)

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Count the points."""
        count, pixels = self.params.points, self.params.size**2
        amounts = {"index": Estimate(count, propagated={"landmarks": float(count)})}
        loads = self.params.source.load_latest(count)
        each = per_landmark(amounts, "index", loads, 7e-7 * pixels, pixels * 0.35)
        units = -(-count // BATCH)
        return Estimate(0) if each is None else replace(each, units=units, propagated={})

    def _points(self, places: np.ndarray, seed: int) -> list[dict[str, Any]]:
        if isinstance(self.params.source, SimulatedAerial):
            world = country(self.params.source.world)
            found = [(n, world.distractor(n)[2]) for n in range(self.params.points)]
        else:
            found = list(enumerate(drawn_points(places, self.params.points, self.params.spread_km, seed)))
        near = nearest_m(np.array([lonlat for _, lonlat in found]).reshape(-1, 2), places)
        return [
            {"landmark_id": None, "osm_id": n, "lon": lonlat[0], "lat": lonlat[1]}
            for (n, lonlat), metres in zip(found, near.tolist(), strict=True)
            if metres > self.params.least_distance_m
        ]


def drawn_points(places: np.ndarray, count: int, spread_km: float, seed: int) -> list[tuple[float, float]]:
    """Draw points about places: each about one of them, drawn with replacement, displaced by a normal distribution.

    Args:
        places: (N, 2) longitude and latitude, degrees.
        count: How many.
        spread_km: Standard deviation of the displacement along each axis.
        seed: Of the draw.
    """
    random = np.random.default_rng([seed, 0x1DE8])
    chosen = places[random.integers(0, len(places), count)]
    moved = random.normal(0, spread_km / 111.195, (count, 2))
    latitude = np.clip(chosen[:, 1] + moved[:, 1], -89.9, 89.9)
    longitude = chosen[:, 0] + moved[:, 0] / np.cos(np.radians(latitude))
    longitude = (longitude + 180) % 360 - 180
    return list(zip(longitude.tolist(), latitude.tolist(), strict=True))


def nearest_m(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the distance on a sphere from each point (N, 2) to the nearest of the places (M, 2), metres.

    Args:
        points: WGS84 longitude and latitude, degrees.
        places: The same; indexed by a k-d tree of their unit vectors.

    Returns:
        (N,) float64; within 0.6% of the distance on the ellipsoid.
    """
    if not len(points):
        return np.zeros(0)
    chords, _ = cKDTree(_unit(places)).query(_unit(points))
    return np.asarray(2 * _EARTH_M * np.arcsin(np.clip(chords / 2, 0, 1)))


def _unit(lonlat: np.ndarray) -> np.ndarray:
    lon, lat = np.radians(lonlat).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
