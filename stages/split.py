"""Stage `split`: pairs -> train, val and test, never two of them from ground that is close together.

Input: `tiles/**/rows-*.parquet`. Output: `split/split.parquet` (see `stages.tables.SPLIT`), one unit, `pairs`; rejected
pairs have a split too. Points any of whose sites lie closer than the least distance form a cluster, which stays whole.
Clusters are dealt in an order drawn from the run's seed: one to each split first, then each to the split that lacks
most of its share of the pairs. With fewer clusters than splits, those with the greater share come first: a single point
is all train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pipeline.files import digest_bytes
from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output, propagated
from stages.tables import PAIRS, SPLIT, pair_tables, read_tables, write_table

_EARTH_RADIUS_KM = 6371.0088
_EARTH_FLATTENING_MARGIN = 1.01
"""Distances on a sphere are off by less than this factor."""
_SECONDS_A_PAIR = 0.00001


class SplitParams(BaseModel):
    """How pairs are divided."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shares: Mapping[str, float] = Field(
        {"train": 0.8, "val": 0.1, "test": 0.1}, description="Share of the pairs of each split; they sum to 1."
    )
    distance_km: float = Field(
        10.0, ge=0, description="Least distance on the ground between pairs of different splits, km."
    )

    @model_validator(mode="after")
    def _check(self) -> SplitParams:
        if not set(self.shares) <= {"train", "val", "test"}:
            raise ValueError("splits are named train, val and test")
        if min(self.shares.values(), default=0) < 0 or abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError("shares must not be negative and must sum to 1")
        return self


class SplitStage(Stage[SplitParams]):
    """Divide all pairs: one unit, `pairs`."""

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = SplitParams
    reads: ClassVar[tuple[str, ...]] = ("tile",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit."""
        tables = pair_tables(run)
        payload = {"tables": [table.path for table in tables], "seed": run.seed}
        return [self.unit("pairs", payload, [table.digest for table in tables])]

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return one unit, its seconds in proportion to the pairs that the estimate of `tile` propagates."""
        amounts = propagated(before, "tile")
        return Estimate(1, seconds=amounts.get("pairs", 0) * _SECONDS_A_PAIR, propagated=amounts)

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Divide the pairs. Raises PermanentError if a table cannot be read."""
        columns = ["pair_id", "point_id", "site_id", "geometry"]
        pairs = read_tables([workspace / path for path in unit.payload["tables"]], PAIRS, columns).sort_by("pair_id")
        points = pairs["point_id"].to_pylist()
        clusters = cluster_points(pairs, self.params.distance_km)
        sizes: dict[str, int] = {}
        for point in points:
            sizes[clusters[point]] = sizes.get(clusters[point], 0) + 1
        splits = deal(sizes, self.params.shares, unit.payload["seed"])
        rows = {
            "pair_id": pairs["pair_id"],
            "point_id": pairs["point_id"],
            "cluster": [clusters[point] for point in points],
            "split": [splits[clusters[point]] for point in points],
        }
        path = workspace / "split" / "split.parquet"
        write_table(path, pa.table(rows, SPLIT), SPLIT)
        counts = {name: rows["split"].count(name) for name in self.params.shares}
        return Result((output(workspace, path),), {"pairs": counts, "clusters": len(sizes)})


def cluster_points(pairs: pa.Table, distance_km: float) -> dict[str, str]:
    """Return for each point the smallest id of its cluster.

    The distance of two sites is taken between circles round their tiles, so it is never more than the true one.

    Args:
        pairs: With the columns point_id, site_id and geometry (WKB, WGS84) of tiles; none gives no cluster.
        distance_km: Least distance on the ground between sites of two clusters, km; 0 still joins sites that touch.
    """
    if not pairs.num_rows:
        return {}
    keys = [
        f"{point}/{site}" for point, site in zip(*(pairs[c].to_pylist() for c in ("point_id", "site_id")), strict=True)
    ]
    names, site_of_pair = np.unique(keys, return_inverse=True)
    centres, radii = _circles(pairs["geometry"].to_numpy(), site_of_pair, len(names))
    reach = distance_km * _EARTH_FLATTENING_MARGIN + 2 * radii.max()
    couples = cKDTree(centres).query_pairs(_chord(reach), output_type="ndarray")
    apart = _arc(np.linalg.norm(centres[couples[:, 0]] - centres[couples[:, 1]], axis=1))
    close = couples[apart - radii[couples].sum(axis=1) <= distance_km * _EARTH_FLATTENING_MARGIN]

    points, point_of_site = np.unique([name.partition("/")[0] for name in names], return_inverse=True)
    a, b = point_of_site[close].T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(points), len(points)))
    _, label = connected_components(graph, directed=False)
    smallest: dict[int, str] = {}
    for point, cluster in zip(points.tolist(), label.tolist(), strict=True):
        smallest.setdefault(cluster, point)
    return {point: smallest[cluster] for point, cluster in zip(points.tolist(), label.tolist(), strict=True)}


def deal(sizes: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return the split of each cluster, given how many pairs each has; see the module for the rule.

    Args:
        sizes: Pairs of each cluster.
        shares: Wanted share of pairs by split, their sum 1; a split of share 0 gets nothing.
        seed: Of the run: decides the order in which clusters are dealt.
    """
    total = sum(sizes.values())
    by_share = sorted((name for name, share in shares.items() if share > 0), key=lambda name: -shares[name])
    order = sorted(sizes, key=lambda cluster: digest_bytes(f"{seed} {cluster}".encode()))
    firsts = sorted(order[: len(by_share)], key=lambda cluster: -sizes[cluster])
    result = dict(zip(firsts, by_share, strict=False))
    lacking = {name: shares[name] * total for name in by_share}
    for cluster, split in result.items():
        lacking[split] -= sizes[cluster]
    for cluster in order[len(by_share) :]:
        split = max(by_share, key=lambda name: lacking[name])
        result[cluster] = split
        lacking[split] -= sizes[cluster]
    return result


def _circles(geometries: Any, group: NDArray[np.int64], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return unit vectors (count, 3) of the centres and radii in km of circles that hold each group's outlines."""
    corners, owner = shapely.get_coordinates(shapely.from_wkb(geometries), return_index=True)
    lon, lat = np.radians(corners).T
    vectors = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    member = group[owner]
    sums = np.stack([np.bincount(member, vectors[:, axis], count) for axis in range(3)], axis=1)
    centres = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    radii = np.zeros(count)
    np.maximum.at(radii, member, _arc(np.linalg.norm(vectors - centres[member], axis=1)))
    return centres, radii


def _arc(chord: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return great-circle distances in km of chords between unit vectors."""
    return np.asarray(2 * _EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0, 1)))


def _chord(distance_km: float) -> float:
    return float(2 * np.sin(min(distance_km / _EARTH_RADIUS_KM, np.pi) / 2))
