"""No two pairs of different splits lie close together on the ground, whatever the sites."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyproj import Geod

from pipeline.stage import Result, RunView, output
from stages.split import SplitParams, SplitStage, cluster_points, deal
from stages.tables import PAIRS, write_table

pytestmark = pytest.mark.unit

GEOD = Geod(ellps="WGS84")
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def pairs_of(sites: list[tuple[str, str, float, float, float]]) -> pa.Table:
    """Return four tiles a site (point, site, lon, lat, half a side in degrees)."""
    rows = []
    for point, site, lon, lat, half in sites:
        for number, (dx, dy) in enumerate([(-1, -1), (0, -1), (-1, 0), (0, 0)]):
            outline = shapely.box(lon + dx * half, lat + dy * half, lon + (dx + 1) * half, lat + (dy + 1) * half)
            pair_id = f"{point}_{site}_{number // 2:04d}_{number % 2:04d}"
            rows.append({"pair_id": pair_id, "point_id": point, "site_id": site, "geometry": shapely.to_wkb(outline)})
    return pa.Table.from_pylist(rows, PAIRS)


coordinates = st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(0.005, 0.06))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 11), coordinates), min_size=1, max_size=18),
    st.sampled_from([(8.0, 47.0), (179.9, -30.0), (20.0, 78.0)]),
    st.sampled_from([0.0, 1.0, 8.0]),
    st.integers(0, 1000),
)
def test_pairs_of_different_splits_are_apart(
    sites: list[tuple[int, tuple[float, float, float]]], centre: tuple[float, float], distance_km: float, seed: int
) -> None:
    listed = [
        (f"{point:03d}", str(number), centre[0] + x, centre[1] + y, half)
        for number, (point, (x, y, half)) in enumerate(sites)
    ]
    table = pairs_of(listed)
    clusters = cluster_points(table, distance_km)
    splits = deal({cluster: 4 for cluster in clusters.values()}, SHARES, seed)
    split_of = [splits[clusters[point]] for point in table["point_id"].to_pylist()]
    outlines = shapely.from_wkb(table["geometry"].to_numpy())
    corners = shapely.get_coordinates(outlines).reshape(len(outlines), -1, 2)
    for i in range(len(outlines)):
        for j in range(i):
            if split_of[i] != split_of[j]:
                assert not outlines[i].intersects(outlines[j])
                # Every corner of one against every corner of the other, on the ellipsoid.
                a, b = (np.repeat(corners[i], 5, axis=0), np.tile(corners[j], (5, 1)))
                assert GEOD.inv(*a.T, *b.T)[2].min() >= distance_km * 1000


@given(st.integers(3, 40), st.integers(0, 1000))
def test_every_split_gets_a_cluster_and_shares_are_kept(count: int, seed: int) -> None:
    splits = deal({f"{i:03d}": 100 for i in range(count)}, SHARES, seed)
    counts = {name: list(splits.values()).count(name) for name in SHARES}
    assert min(counts.values()) >= 1
    for name, share in SHARES.items():
        assert abs(counts[name] - share * count) <= 2


def test_the_deal_depends_on_the_seed_alone() -> None:
    sizes = {f"{i:03d}": 10 + i for i in range(30)}
    assert deal(sizes, SHARES, 1) == deal(dict(reversed(sizes.items())), SHARES, 1)
    assert deal(sizes, SHARES, 1) != deal(sizes, SHARES, 2)


def test_few_points_are_train_first() -> None:
    assert deal({"001": 5}, SHARES, 0) == {"001": "train"}
    assert sorted(deal({"001": 5, "002": 9}, SHARES, 0).items()) == [("001", "val"), ("002", "train")]
    assert cluster_points(pairs_of([]), 10) == {}


def test_shares_must_make_sense() -> None:
    with pytest.raises(ValidationError, match="sum to 1"):
        SplitParams(shares={"train": 0.5, "val": 0.1})
    with pytest.raises(ValidationError, match="train, val and test"):
        SplitParams(shares={"training": 1.0})


def test_the_stage_writes_a_row_a_pair(tmp_path: Path) -> None:
    table = pairs_of([("002", "1", 8, 47, 0.01), ("001", "1", 9, 47, 0.01), ("003", "1", 9.01, 47, 0.01)])
    write_table(tmp_path / "tiles" / "rows-0000.parquet", table, PAIRS)
    tiles = Result((output(tmp_path, tmp_path / "tiles" / "rows-0000.parquet"),))
    stage = SplitStage(SplitParams())
    (unit,) = stage.plan(RunView(tmp_path, 7, {"tile": {"rows": tiles}}))
    result = stage.run(unit, tmp_path)
    rows = pq.read_table(tmp_path / "split" / "split.parquet").to_pylist()
    assert [row["pair_id"] for row in rows] == sorted(table["pair_id"].to_pylist())
    assert {row["point_id"]: row["cluster"] for row in rows} == {"001": "001", "003": "001", "002": "002"}
    assert result.data["clusters"] == 2
    again = (tmp_path / "split" / "split.parquet").read_bytes()
    stage.run(unit, tmp_path)
    assert (tmp_path / "split" / "split.parquet").read_bytes() == again
