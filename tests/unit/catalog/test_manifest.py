"""The manifest: order, derived columns, refusals, bytes, and what a foreign GeoParquet reader sees."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import CatalogError
from catalog.manifest import make_manifest, published, read_manifest, write_manifest
from catalog.pairs import SCHEMA
from catalog.schema import markdown

pytestmark = pytest.mark.unit

THREE = (
    {"point": "002", "site": "1", "row": 0, "col": 0, "split": "test"},
    {"point": "001", "site": "1", "row": 0, "col": 1, "verdict": "rejected", "reasons": ["blank"]},
    {"point": "001", "site": "1", "row": 0, "col": 0},
)


def test_orders_rows_and_derives_paths_and_positions(make_pairs):
    manifest = make_manifest(SCHEMA, make_pairs(*THREE))
    assert manifest.schema == SCHEMA.manifest
    assert manifest["pair_id"].to_pylist() == ["001_1_0000_0000", "001_1_0000_0001", "002_1_0000_0000"]
    assert manifest["map_path"].to_pylist() == [
        "MapData/001/1/L/001_1_0000_0000.png",
        None,
        "MapData/002/1/L/002_1_0000_0000.png",
    ]
    assert manifest["visible_path"].to_pylist()[0] == "MapData/001/1/R/001_1_0000_0000.png"
    assert manifest["zarr_index"].to_pylist() == [0, None, 1]
    assert manifest["split"].to_pylist() == ["train", None, "test"]
    assert manifest["reasons"].to_pylist() == [[], ["blank"], []]
    assert published(manifest)["pair_id"].to_pylist() == ["001_1_0000_0000", "002_1_0000_0000"]


@pytest.mark.parametrize(("name", "suffix"), [("png", ".png"), ("jpeg", ".jpg"), ("webp", ".webp"), ("npy", None)])
def test_paths_follow_the_format(make_pairs, name, suffix):
    manifest = make_manifest(SCHEMA, make_pairs({"point": "001", "site": "1", "row": 3, "col": 7, "format": name}))
    expected = None if suffix is None else f"MapData/001/1/L/001_1_0003_0007{suffix}"
    assert manifest["map_path"].to_pylist() == [expected]
    assert manifest["zarr_index"].to_pylist() == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row": 0}, "occur more than once"),
        ({"verdict": "maybe"}, "'maybe'"),
        ({"split": "holdout"}, "'holdout'"),
        ({"format": "tiff"}, "'tiff'"),
        ({"split": None}, "have no split"),
        ({"method": None}, "without 'method'"),
    ],
)
def test_refuses_contradictions(make_pairs, change, message):
    first = {"point": "001", "site": "1", "row": 0, "col": 0}
    with pytest.raises(CatalogError, match=message):
        make_manifest(SCHEMA, make_pairs(first, {**first, "row": 1, **change}))


def test_refuses_a_table_that_lacks_columns(make_pairs):
    with pytest.raises(CatalogError, match="lacks the columns crs, gsd"):
        make_manifest(SCHEMA, make_pairs(*THREE).drop_columns(["gsd", "crs"]))


@given(order=st.permutations(range(3)), chunk=st.integers(1, 3))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_bytes_do_not_depend_on_the_order_or_chunks_of_the_input(make_pairs, tmp_path, order, chunk):
    plain, shuffled = tmp_path / "plain.parquet", tmp_path / "shuffled.parquet"
    write_manifest(make_manifest(SCHEMA, make_pairs(*THREE)), plain)
    batches = make_pairs(*(THREE[index] for index in order)).to_batches(max_chunksize=chunk)
    write_manifest(make_manifest(SCHEMA, pa.Table.from_batches(batches)), shuffled)
    assert plain.read_bytes() == shuffled.read_bytes()


def test_reads_back_what_was_written(make_pairs, tmp_path):
    manifest = make_manifest(SCHEMA, make_pairs(*THREE))
    write_manifest(manifest, tmp_path / "manifest.parquet")
    assert read_manifest(SCHEMA, tmp_path).equals(manifest)


def test_a_truncated_manifest_is_named(make_pairs, tmp_path):
    path = tmp_path / "manifest.parquet"
    write_manifest(make_manifest(SCHEMA, make_pairs(*THREE)), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CatalogError, match=r"manifest\.parquet: no readable table"):
        read_manifest(SCHEMA, path.parent)


def test_geopandas_reads_it_as_wgs84(make_pairs, tmp_path):
    path = tmp_path / "manifest.parquet"
    write_manifest(make_manifest(SCHEMA, make_pairs(*THREE)), path)
    frame = geopandas.read_parquet(path)
    assert frame.crs.equals("OGC:CRS84")
    assert frame.geometry.iloc[0].equals(shapely.box(1, 39.99, 1.01, 40))
    inside = geopandas.read_parquet(path, bbox=(1.5, 30, 3, 50))  # uses the covering of GeoParquet 1.1
    assert list(inside.pair_id) == ["002_1_0000_0000"]


def test_a_footprint_across_the_antimeridian_is_split(make_pairs, tmp_path):
    wide = shapely.to_wkb(shapely.Polygon([(179.9, 1), (-179.9, 1), (-179.9, 0), (179.9, 0)]))
    manifest = make_manifest(SCHEMA, make_pairs({"point": "001", "site": "1", "row": 0, "col": 0, "geometry": wide}))
    (shape,) = shapely.from_wkb(manifest["geometry"].to_numpy())
    assert shape.geom_type == "MultiPolygon"
    assert shape.area == pytest.approx(0.2)
    assert list(manifest["bbox"].to_pylist()[0].values()) == pytest.approx([179.9, 0, -179.9, 1], abs=1e-12)
    write_manifest(manifest, tmp_path / "manifest.parquet")
    assert b'"bbox": [-180.0, 0.0, 180.0, 1.0]' in pq.read_schema(tmp_path / "manifest.parquet").metadata[b"geo"]
    assert geopandas.read_parquet(tmp_path / "manifest.parquet").geometry.is_valid.all()


def test_a_footprint_that_only_touches_the_antimeridian_stays_whole(make_pairs):
    edge = shapely.to_wkb(shapely.box(179.5, 0, 180, 1))
    manifest = make_manifest(SCHEMA, make_pairs({"point": "001", "site": "1", "row": 0, "col": 0, "geometry": edge}))
    assert manifest["bbox"].to_pylist()[0]["xmax"] == 180


def test_a_manifest_without_pairs_can_be_written(make_pairs, tmp_path: Path):
    write_manifest(make_manifest(SCHEMA, make_pairs()), tmp_path / "manifest.parquet")
    assert read_manifest(SCHEMA, tmp_path).num_rows == 0


def test_every_column_is_documented():
    text = markdown(SCHEMA.manifest)
    assert all(f"| `{name}` |" in text for name in SCHEMA.manifest.names)
    assert "| `homography` | `double[9]` |" in text
    assert np.all([len(line.split("|")) == 5 for line in text.splitlines()])
