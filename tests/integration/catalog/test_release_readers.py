"""Releases as other people's readers see them: pystac, stac-geoparquet, Zarr, Croissant, GeoPandas, PyTorch."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import geopandas
import markdown_it
import mlcroissant
import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import shapely
import torch
import yaml
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from stac_geoparquet.arrow import stac_table_to_items

from catalog.build import build_release
from catalog.dataset import open_dataset
from catalog.errors import CatalogError
from catalog.manifest import published, read_manifest
from catalog.model import Format
from catalog.pairs import SCHEMA
from catalog.verify import verify_release

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def release(whole_release) -> Path:
    return whole_release


def test_pystac_walks_the_catalog_and_finds_every_file(release):
    catalog = pystac.Catalog.from_file(release / "stac/catalog.json")
    items = list(catalog.get_items(recursive=True))
    assert [item.id for item in items] == ["001_1", "001_2", "002_1"]
    for item in items:
        assert item.collection_id == "mapdata"
        counted = {"train": 0, "val": 0, "test": 0} | {("test" if item.id == "002_1" else "train"): 15, "rejected": 1}
        assert item.properties["mapdata:pairs"] == counted
        for asset in item.assets.values():
            path = Path(asset.get_absolute_href())
            assert path.stat().st_size == FileExtension.ext(asset).size
        with rasterio.open(item.assets["visible"].get_absolute_href()) as raster:
            projection = ProjectionExtension.ext(item.assets["visible"])
            assert projection.code == raster.crs.to_string()
            assert projection.shape == list(raster.shape)
            assert projection.transform == list(raster.transform)[:6]
        west, south, east, north = item.bbox
        assert west < east
        assert south < north
        assert item.common_metadata.start_datetime.year == 2023
        assert item.common_metadata.end_datetime.year == 2024
    collection = next(iter(catalog.get_children()))
    assert isinstance(collection, pystac.Collection)
    assert {role.value if hasattr(role, "value") else role for p in collection.providers for role in p.roles} == {
        "licensor", "producer", "processor",
    }  # fmt: skip
    assert Path(collection.assets["pairs"].get_absolute_href()).exists()


def test_the_table_of_pairs_reads_back_as_items_with_files(release):
    items = list(stac_table_to_items(pq.read_table(release / "stac/pairs.parquet")))
    assert len(items) == 45
    first = items[0]
    assert first["id"] == "001_1_0000_0000"
    assert first["properties"]["datetime"] is None
    assert first["properties"]["mapdata:split"] == "train"
    assert np.shape(first["properties"]["mapdata:homography"]) == (9,)
    for item in items:
        for name in ("map", "visible", "zarr"):
            assert (release / "stac" / item["assets"][name]["href"]).exists()
        for link in item["links"]:
            assert (release / "stac" / link["href"]).exists()


def test_geopandas_filters_the_table_of_pairs(release):
    frame = geopandas.read_parquet(release / "stac/pairs.parquet")
    assert frame.crs.to_epsg() == 4326
    chosen = frame[(frame["mapdata:residual_px"] < 1) & (frame["mapdata:split"] == "test")]
    assert len(chosen) == 15


def test_croissant_is_valid_and_loads_records_offline(release):
    dataset = mlcroissant.Dataset(jsonld=str(release / "croissant.json"))
    assert not dataset.metadata.issues.errors
    pairs = list(dataset.records("pairs"))
    assert len(pairs) == 48
    assert pairs[0]["pairs/pair_id"] == b"001_1_0000_0000"
    assert pairs[0]["pairs/residual_px"] == 0.8
    images = {record["map_images/pair_id"]: record["map_images/image"] for record in dataset.records("map_images")}
    assert len(images) == 45
    expected = open_dataset(release, dtype=torch.uint8)[3]
    image = np.asarray(images[expected["pair_id"].encode()])
    np.testing.assert_array_equal(image.transpose(2, 0, 1), expected["map"].numpy())


def test_the_card_says_what_a_reader_needs(release):
    text = (release / "README.md").read_text()
    assert "© map service" in text
    assert "| train | 1 | 30 |" in text
    assert "| test | 1 | 15 |" in text
    assert "| map: no data on …% | 3 |" in text
    assert "open_dataset" in text
    assert text.startswith("---\npretty_name:")


@pytest.mark.parametrize("layout", ["folders", "zarr"])
def test_both_layouts_give_the_same_tensors(release, layout):
    dataset = open_dataset(release, "train", layout=layout)
    assert len(dataset) == 30
    pair = dataset[-1]
    assert pair["map"].shape == (3, 64, 64)
    assert pair["map"].dtype == torch.float32
    assert 0 <= pair["map"].min() <= pair["map"].max() <= 1
    raw = open_dataset(release, "train", layout="folders", dtype=torch.uint8)[29]
    assert torch.equal((pair["visible"] * 255).round().to(torch.uint8), raw["visible"])
    assert torch.equal(pair["homography"], torch.eye(3, dtype=torch.float64))
    assert pair["raster_homography"][0, 2] == 0.5
    assert (pair["pair_id"], pair["point_id"], pair["split"]) == (raw["pair_id"], "001", "train")


@pytest.mark.parametrize("layout", ["folders", "zarr"])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_data_loader_workers_read_everything_once(release, layout, start):
    dataset = open_dataset(release, "all", layout=layout)
    here = {dataset[index]["pair_id"]: dataset[index]["map"].sum().item() for index in range(45)}
    loader = torch.utils.data.DataLoader(dataset, batch_size=8, num_workers=2, multiprocessing_context=start)
    found = {}
    for batch in loader:
        found |= dict(zip(batch["pair_id"], batch["map"].sum(dim=(1, 2, 3)).tolist(), strict=True))
    assert found.keys() == here.keys()
    assert all(found[name] == pytest.approx(here[name]) for name in here)


def test_wrong_use_of_the_dataset_is_explained(release, tmp_path):
    with pytest.raises(CatalogError, match=f"did you mean {release}"):
        open_dataset(release.parent)
    with pytest.raises(CatalogError, match="there is no release here"):
        open_dataset(tmp_path)
    with pytest.raises(ValueError, match="choose train, val, test or all"):
        open_dataset(release, "holdout")
    with pytest.raises(ValueError, match="choose torch"):
        open_dataset(release, dtype=torch.float16)
    with pytest.raises(IndexError, match="pair 30 of a dataset of 30"):
        open_dataset(release)[30]
    assert len(open_dataset(release, "val")) == 0


def test_a_release_without_that_layout_says_which_it_has(make_contents, tmp_path):
    contents, root = make_contents(tmp_path)
    build_release(SCHEMA, contents, root, tmp_path / "release", [Format.FOLDERS])
    with pytest.raises(CatalogError, match="has no zarr; it has folders"):
        open_dataset(tmp_path / "release", layout="zarr")


def test_a_damaged_image_is_named(make_contents, tmp_path):
    contents, root = make_contents(tmp_path)
    build_release(SCHEMA, contents, root, tmp_path / "release", [Format.FOLDERS, Format.ZARR])
    dataset = open_dataset(tmp_path / "release")
    path = tmp_path / "release" / dataset.table["map_path"][0].as_py()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CatalogError, match=path.name):
        dataset[0]
    shard = tmp_path / "release/mapdata.zarr/map/c/0/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(CatalogError, match="verify the release"):
        open_dataset(tmp_path / "release", layout="zarr")[0]


def test_the_facade_opens_it(release):
    from mapdata import open_dataset as facade

    assert len(facade(release, split="test")) == 15


def test_release_summary_counts(release):
    summary = json.loads((release / "release.json").read_text())
    assert summary["pairs"] == {"train": 30, "val": 0, "test": 15, "rejected": 3, "all": 48}


def test_hugging_face_loads_pairs_and_splits(release, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    datasets = pytest.importorskip("datasets", reason="needs the extra `interop`")
    loaded = datasets.load_dataset(str(release), cache_dir=str(tmp_path))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 30, "test": 15}
    for split in ("train", "test"):
        expected = open_dataset(release, split, dtype=torch.uint8)
        for index in (0, 7):
            row, pair = loaded[split][index], expected[index]
            assert row["pair_id"] == pair["pair_id"]
            for side in ("map", "visible"):
                np.testing.assert_array_equal(np.asarray(row[side]).transpose(2, 0, 1), pair[side].numpy())
    assert row["map_licence"] == "CC-BY-4.0"
    footprint = shapely.from_wkt(row["footprint"])
    assert shapely.hausdorff_distance(footprint, shapely.box(*row["bbox"].values())) < 1e-5


def test_xarray_opens_the_store(release):
    xarray = pytest.importorskip("xarray", reason="needs the extra `interop`")
    store = xarray.open_zarr(release / "mapdata.zarr", consolidated=True)
    assert store["map"].dims == store["visible"].dims == ("pair", "y", "x", "channel")
    assert store["split"].dims == ("pair",)
    chosen = store.isel(pair=np.flatnonzero(store["split"].values == "test"))
    assert chosen["map"].shape == (15, 64, 64, 3)
    np.testing.assert_array_equal(
        chosen["visible"][0].values.transpose(2, 0, 1), open_dataset(release, "test", dtype=torch.uint8)[0]["visible"]
    )


def test_text_of_sources_stays_text_in_the_card(make_contents, tmp_path):
    contents, root = make_contents(tmp_path)
    harmful = '<script>alert(1)</script>\n---\nlicense: mit\n# A "title": [x](javascript:1) | *b* \\'
    about = replace(contents.about, title=harmful, description=harmful, creator=harmful)
    rasters = [replace(pair, map=replace(pair.map, attribution=harmful)) for pair in contents.originals]
    build_release(
        SCHEMA, replace(contents, about=about, originals=rasters), root, tmp_path / "release", [Format.FOLDERS]
    )
    front, _, body = (tmp_path / "release/README.md").read_text().removeprefix("---\n").partition("\n---\n")
    matter = yaml.safe_load(front)
    assert matter["pretty_name"] == harmful
    assert matter["license"] == "cc-by-4.0"
    html = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert "<script" not in html
    assert "href" not in html.lower()
    assert "<em>" not in html
    assert html.count("<h1>") == 1
    (row,) = [line for line in body.splitlines() if line.startswith("| map |")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 7


def test_unknown_dates_match_no_search_for_a_period(make_contents, tmp_path):
    contents, root = make_contents(tmp_path)
    names = [f"{side}_date" for side in ("map", "visible")]
    records = contents.records
    for name in names:
        index = records.column_names.index(name)
        records = records.set_column(index, records.schema.field(name), pa.array([""] * records.num_rows))
    rasters = [
        replace(pair, map=replace(pair.map, date=""), visible=replace(pair.visible, date=""))
        for pair in contents.originals
    ]
    release = tmp_path / "release"
    build_release(SCHEMA, replace(contents, records=records, originals=rasters), root, release, tuple(Format))
    assert verify_release(release) == []
    catalog = pystac.Catalog.from_file(release / "stac/catalog.json")
    (collection,) = catalog.get_children()
    assert collection.extent.temporal.intervals == [[None, None]]
    for item in catalog.get_items(recursive=True):
        assert item.properties["mapdata:date_known"] is False
        assert item.common_metadata.end_datetime.year == 1970
    frame = geopandas.read_parquet(release / "stac/pairs.parquet")
    assert not frame["mapdata:date_known"].any()
    assert (frame["end_datetime"] < "2000-01-01T00:00:00Z").all()


def test_stac_has_thumbnails_renders_item_assets_and_a_mirror(release):
    collection = json.loads((release / "stac/collection.json").read_text())
    assert collection["item_assets"]["visible"] == {
        "type": "image/tiff; application=geotiff", "title": "Visible image", "roles": ["data"],
    }  # fmt: skip
    assert collection["item_assets"]["thumbnail"]["roles"] == ["thumbnail"]
    assert collection["summaries"]["mapdata:stratum"] == ["city"]
    columns = collection["assets"]["manifest"]["table:columns"]
    assert [column["name"] for column in columns] == pq.read_schema(release / "manifest.parquet").names
    mirror = collection["assets"]["items"]
    assert mirror["roles"] == ["collection-mirror"]
    mirrored = {item["id"]: item for item in stac_table_to_items(pq.read_table(release / "stac" / mirror["href"]))}
    for path in (release / "stac/items").glob("*.json"):
        item, copy = json.loads(path.read_text()), mirrored.pop(path.stem)
        with PIL.Image.open(path.parent / item["assets"]["thumbnail"]["href"]) as picture:
            assert picture.format == "JPEG"
            assert max(picture.size) <= 512
        assert item["properties"]["renders"]["map"]["assets"] == ["map"]
        assert copy["properties"]["mapdata:homography"] == item["properties"]["mapdata:homography"]
        assert copy["properties"]["mapdata:stratum"] == item["properties"]["mapdata:stratum"]
        for kind in ("links", "assets"):
            entries = item[kind].items() if kind == "assets" else enumerate(item[kind])
            for key, entry in entries:
                there = (release / "stac" / copy[kind][key]["href"]).resolve()
                assert there == (path.parent / entry["href"]).resolve()
    assert not mirrored


def test_stac_links_have_titles_and_lead_to_the_licences(release):
    for path in [release / "stac/collection.json", *(release / "stac/items").glob("*.json")]:
        links = json.loads(path.read_text())["links"]
        assert all(link["title"] for link in links)
        (licence,) = [link for link in links if link["rel"] == "license"]
        assert "© map service" in (path.parent / licence["href"]).read_text()


def test_the_share_without_data_is_in_manifest_and_stac(release):
    frame = geopandas.read_parquet(release / "manifest.parquet")
    items = geopandas.read_parquet(release / "stac/pairs.parquet")
    for side in ("map", "visible"):
        assert frame[f"{side}_nodata"].between(0, 1).all()
        published = frame[frame.verdict == "accepted"][f"{side}_nodata"]
        np.testing.assert_array_equal(items[f"mapdata:{side}_nodata"], published)


def test_gdal_opens_the_footprints(release: Path) -> None:
    frame = geopandas.read_file(release / "footprints.fgb")  # in the order of its spatial index
    frame = frame.sort_values("pair_id")
    rows = published(read_manifest(SCHEMA, release))
    assert frame.crs == "EPSG:4326"
    assert frame["pair_id"].tolist() == rows["pair_id"].to_pylist()
    assert frame["residual_px"].isna().tolist() == rows["residual_px"].is_null().to_pylist()
    outlines = shapely.from_wkb(rows["geometry"].to_numpy())
    assert shapely.equals_exact(frame.geometry.to_numpy(), outlines, tolerance=1e-12, normalize=True).all()


def test_hugging_faces_own_reader_takes_the_card(release: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="needs the extra `interop`")
    card = hub.DatasetCard.load(release / "README.md")
    assert (card.data.pretty_name, card.data.license) == ("MapData test", "cc-by-4.0")
    assert (card.data.size_categories, card.data.tags[0]) == (["n<1K"], "image-matching")
    assert {each["split"] for config in card.data.configs for each in config["data_files"]} == {"train", "test"}
    assert card.text.lstrip().startswith("# MapData test")


def test_duckdb_counts_the_pairs_of_the_manifest(release: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs the extra `interop`")
    asked = "SELECT split, count(*), max(residual_px) FROM read_parquet($1) WHERE verdict = 'accepted' GROUP BY split"
    rows = duckdb.execute(asked, [str(release / "manifest.parquet")]).fetchall()
    assert sorted(rows) == [("test", 15, 0.8), ("train", 30, 0.8)]
