"""Aerial images of landmarks: the real years of NAIP by STAC with range requests, signed or not, and a tile service."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
import shapely
from aiohttp import web
from file_server import FileServer
from pyproj import Transformer
from rasterio.shutil import copy as copy_raster
from rasterio.warp import Resampling, reproject, transform_bounds

from pipeline.errors import PermanentError
from stages.acquire.asset_access import RequesterPays, signature_v4
from stages.acquire.stac_catalog import CatalogReader
from stages.fetch.blocking import BlockingClient
from stages.fetch.client import RateLimits
from stages.fetch.reach import Reach
from stages.landmarks import aerial_stac
from stages.landmarks.aerial import AerialParams, write_chips
from stages.landmarks.aerial_stac import StacAerial, centred_grid, ground_square, grouped_by_year
from stages.landmarks.aerial_tiles import TilesAerial
from stages.landmarks.sources import Chip

pytestmark = pytest.mark.integration

YEARS = {2012: "20120731", 2015: "20150926", 2020: "20200831"}
SIZE, GSD = 160, 5.0
QUICK = {"requests_per_second": None, "timeout_s": 3.0, "wait_s": 0.02, "attempts": 3}
TERMS = {"licence": "Public-Domain", "attribution": "USDA FPAC-BC-GEO"}


@pytest.fixture(scope="module")
def naip(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the three real years as COGs, 2015 cut into two overlapping halves, with a static catalog beside them."""
    folder = tmp_path_factory.mktemp("naip")
    links = []
    for year, day in YEARS.items():
        source = shared_data / "georeferenced" / "naip" / f"m_4709963_se_14_1_{day}.tif"
        with rasterio.open(source) as dataset:
            halves = {"": (0, dataset.width)} if year != 2015 else {"_a": (0, 500), "_b": (430, dataset.width)}
            for suffix, (left, right) in halves.items():
                window = rasterio.windows.Window(left, 0, right - left, dataset.height)
                profile = {
                    **dataset.profile,
                    "width": right - left,
                    "transform": rasterio.windows.transform(window, dataset.transform),
                }
                name = f"naip_{year}{suffix}"
                with rasterio.open(folder / "part.tif", "w", **profile) as part:
                    part.write(dataset.read(window=window))
                copy_raster(folder / "part.tif", folder / f"{name}.tif", driver="COG", compress="deflate")
                with rasterio.open(folder / f"{name}.tif") as made:
                    west, south, east, north = transform_bounds(made.crs, "EPSG:4326", *made.bounds)
                ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
                item = {
                    "type": "Feature", "stac_version": "1.1.0", "id": name, "bbox": [west, south, east, north],
                    "geometry": {"type": "Polygon", "coordinates": [ring]}, "links": [],
                    "properties": {
                        "datetime": f"{day[:4]}-{day[4:6]}-{day[6:]}T16:00:00Z", "naip:year": str(year),
                        "naip:state": "nd",
                    },
                    "assets": {"image": {"href": f"./naip/{name}.tif"}},
                }  # fmt: skip
                (folder / f"{name}.json").write_text(json.dumps(item))
                links.append({"rel": "item", "href": f"./{name}.json"})
    (folder / "part.tif").unlink()
    catalog = {"type": "Catalog", "id": "naip", "stac_version": "1.1.0", "description": "x", "links": links}
    (folder / "catalog.json").write_text(json.dumps(catalog))
    (folder / "naip").mkdir()
    for path in folder.glob("*.tif"):
        path.rename(folder / "naip" / path.name)
    return folder


@pytest.fixture
def server(naip: Path) -> Iterator[FileServer]:
    aerial_stac._access.cache_clear()
    with FileServer(naip) as running:
        yield running


@pytest.fixture
def client(tmp_path: Path) -> Iterator[BlockingClient]:
    """Return a client for catalogs in files, which has nothing to ask."""
    with BlockingClient(tmp_path / "limiters", RateLimits(), Reach()) as client:
        yield client


def place_of(x: float = 488_200.0, y: float = 5_207_400.0) -> dict[str, Any]:
    lon, lat = Transformer.from_crs("EPSG:26914", "EPSG:4326", always_xy=True).transform(x, y)
    return {"landmark_id": "a" * 16, "lon": lon, "lat": lat}


def source(server: FileServer, **further: Any) -> StacAerial:
    return StacAerial(catalog=f"{server.url}/catalog.json", rate_limits=QUICK, **TERMS, **further)


def independent(path: Path, place: dict[str, Any]) -> np.ndarray:
    """Read the square by GDAL's own warp."""
    grid = centred_grid(place["lon"], place["lat"], SIZE, GSD)
    out = np.zeros((3, SIZE, SIZE), np.uint8)
    with rasterio.open(path) as dataset:
        for band in range(3):
            reproject(
                rasterio.band(dataset, band + 1), out[band], dst_crs=grid.crs, dst_transform=grid.transform,
                resampling=Resampling.bilinear,
            )  # fmt: skip
    return out.transpose(1, 2, 0)


def test_three_years_give_three_dated_chips_of_one_ground(server: FileServer, naip: Path, tmp_path: Path) -> None:
    place = place_of()
    chips = list(source(server).chips(place, SIZE, GSD, tmp_path))
    assert [chip.year for chip in chips] == [2012, 2015, 2020]
    assert [chip.date for chip in chips] == ["2012-07-31", "2015-09-26", "2020-08-31"]
    assert chips[1].items == ("naip_2015_a", "naip_2015_b")
    ranges = [each for path, each in server.log if path.endswith(".tif")]
    assert ranges
    assert all(each.startswith("bytes=") for each in ranges)
    for chip, name in zip(chips, ("naip_2012", "", "naip_2020"), strict=True):
        assert chip.pixels.shape == (SIZE, SIZE, 4)
        assert (chip.pixels[..., 3] == 255).all()
        if name:
            truth = independent(naip / "naip" / f"{name}.tif", place).astype(int)
            assert np.abs(chip.pixels[..., :3].astype(int) - truth).mean() < 0.5
    # The ground stays: fields change their colour, but of all displacements up to 12 pixels their borders fit best by
    # none of more than one.
    borders = [_borders(chip.pixels) for chip in chips]
    for other in borders[1:]:
        fit = cv2.matchTemplate(other, borders[0][12:-12, 12:-12].copy(), cv2.TM_CCOEFF_NORMED)
        y, x = np.unravel_index(fit.argmax(), fit.shape)
        assert fit.max() > 0.4
        assert max(abs(int(x) - 12), abs(int(y) - 12)) <= 1


def _borders(pixels: np.ndarray) -> np.ndarray:
    grey = cv2.GaussianBlur(pixels[..., :3].mean(axis=2).astype(np.float32), (0, 0), 1.0)
    return np.minimum(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)), 60)


def test_items_of_a_year_are_mosaicked_without_a_seam(server: FileServer, shared_data: Path, tmp_path: Path) -> None:
    place = place_of()
    (chip,) = source(server, years=(2015, 2015)).chips(place, SIZE, GSD, tmp_path)
    whole = independent(shared_data / "georeferenced" / "naip" / f"m_4709963_se_14_1_{YEARS[2015]}.tif", place)
    assert np.abs(chip.pixels[..., :3].astype(int) - whole.astype(int)).mean() < 0.5


def test_too_much_without_data_is_left_out(server: FileServer, tmp_path: Path) -> None:
    place = place_of(485_950.0)  # at the western edge: nearly half of the square lies beyond it
    chips = list(source(server).chips(place, SIZE, GSD, tmp_path))
    shares = [float((chip.pixels[..., 3] == 0).mean()) for chip in chips]
    assert all(0.4 < share < 0.5 for share in shares)
    params = AerialParams(source=source(server), size=SIZE, gsd=GSD, most_nodata=0.2)
    rows, left_out = write_chips(chips, place, tmp_path / "chips", tmp_path, params)
    assert (rows, left_out) == ([], 3)


def signed(token: str) -> Any:
    """Answer as Azure does: an unsigned or wrongly signed file is not found; give tokens at /token/."""
    ends = datetime(2100, 1, 1, tzinfo=UTC).isoformat()

    def answer(request: web.Request) -> web.StreamResponse | None:
        if request.path.startswith("/token/"):
            assert request.path == "/token/127/naip"
            return web.json_response({"token": token, "msft:expiry": ends})
        if request.path.endswith(".tif") and request.query_string != token:
            return web.Response(status=404)
        return None

    return answer


def test_an_unsigned_404_is_an_error_and_no_lack_of_data(server: FileServer, tmp_path: Path) -> None:
    server.special = signed("sig=abc")
    with pytest.raises(PermanentError, match="answers 404, as hosts of signed addresses do"):
        list(source(server).chips(place_of(), SIZE, GSD, tmp_path))


@pytest.mark.parametrize("way", ["variable", "service"])
def test_signed_assets(
    server: FileServer, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.special = signed("sv=1&sig=geheim%2B7")
    monkeypatch.setenv("NAIP_SAS", "?sv=1&sig=geheim%2B7")
    given = {"sas_variable": "NAIP_SAS"} if way == "variable" else {"sas_service": f"{server.url}/token"}
    signing = source(server, signing="sas", **given)
    chips = list(signing.chips(place_of(), SIZE, GSD, tmp_path))
    assert len(chips) == 3
    assert sum(path.startswith("token/") for path, _ in server.log) == (way == "service")
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    # The server is part of this process and logs what it is asked.
    logged = " ".join(record.getMessage() for record in caplog.records if record.name != "aiohttp.access")
    said = repr([(chip.items, chip.source_url) for chip in chips]) + logged + json.dumps(signing.key_fields())
    assert "geheim" not in said
    assert b"geheim" not in kept


def test_a_missing_token_is_named(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAIP_SAS", raising=False)
    with pytest.raises(PermanentError, match="NAIP_SAS holds no SAS token"):
        list(source(server, signing="sas", sas_variable="NAIP_SAS").chips(place_of(), SIZE, GSD, tmp_path))


def test_the_signature_of_amazons_own_example() -> None:
    """The documentation of Signature Version 4 computes this one by hand (GET object with a range)."""
    headers = signature_v4(
        "https://examplebucket.s3.amazonaws.com/test.txt", "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", datetime(2013, 5, 24, tzinfo=UTC),
        {"range": "bytes=0-9"},
    )  # fmt: skip
    assert headers["Authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


def test_who_pays_is_said_and_keys_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    access = RequesterPays("us-west-2")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(PermanentError, match="AWS_ACCESS_KEY_ID"):
        access.headers("https://x/y")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "c")
    headers = access.headers("https://x/y")
    assert headers["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer;x-amz-security-token" in headers["Authorization"]


@pytest.mark.parametrize(
    ("name", "lonlat", "years", "states"),
    [
        ("manhattan", (-74.0060, 40.7128), {2021: 2, 2022: 2, 2023: 1}, {"ny", "nj"}),
        ("statue_of_liberty", (-74.0445, 40.6892), {2022: 3, 2023: 1}, {"ny", "nj"}),
        ("washington_dc", (-77.0502, 38.8893), {2023: 2}, {"md", "va"}),
    ],
)
def test_real_items_by_year_across_two_states(
    shared_data: Path,
    client: BlockingClient,
    name: str,
    lonlat: tuple[float, float],
    years: dict[int, int],
    states: set[str],
) -> None:
    catalog = shared_data / "landmarks" / "naip-stac" / name / "catalog.json"
    square = ground_square(*lonlat, 480)
    found = grouped_by_year(CatalogReader(str(catalog), client).items((), square, None), square, "image")
    assert {year: len(items) for year, items in found.items()} == years
    assert {item.id[:2] for items in found.values() for item in items} == states


def test_tiles_are_resampled_to_metres(shared_data: Path, tmp_path: Path) -> None:
    tiles = shared_data / "tiles" / "swissimage"
    with FileServer(tiles) as server:
        provider = TilesAerial(
            url=f"{server.url}/{{z}}/{{x}}/{{y}}.jpg", year=2020, licence="OGD-CH", attribution="© swisstopo",
            zooms=(16, 18), rate_limits=QUICK,
        )  # fmt: skip
        place = {"landmark_id": "b" * 16, "lon": 9.5885, "lat": 46.9587}
        fine, coarse = (
            next(iter(provider.chips(place, size, gsd, tmp_path / str(size)))) for size, gsd in ((400, 0.5), (100, 2.0))
        )
    assert isinstance(fine, Chip)
    assert (fine.year, fine.attribution) == (2020, "© swisstopo")
    assert (fine.pixels[..., 3] == 255).all()
    small = cv2.resize(fine.pixels[..., :3], (100, 100), interpolation=cv2.INTER_AREA)
    a, b = (
        cv2.GaussianBlur(each, (0, 0), 1.5).astype(float).ravel() for each in (small, coarse.pixels[..., :3].copy())
    )
    assert np.corrcoef(a, b)[0, 1] > 0.95  # two zooms show one ground


def test_items_of_unknown_years_are_left_out_and_named(
    client: BlockingClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    square = shapely.box(7, 46, 7.1, 46.1)
    said: dict[str, dict[str, Any] | None] = {
        "none": None,
        "null": {"datetime": None},
        "words": {"datetime": "last summer", "naip:year": "none"},
        "range": {"datetime": None, "start_datetime": "2010-06-01T00:00:00Z", "end_datetime": "2011-06-01T00:00:00Z"},
        "day": {"datetime": "2012-05-05"},
        "own": {"datetime": None, "naip:year": "2019"},
    }
    links = []
    for name, properties in said.items():
        item = {
            "type": "Feature", "id": name, "geometry": json.loads(shapely.to_geojson(square)), "properties": properties,
            "assets": {"image": {"href": f"{name}.tif"}},
        }  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(item))
        links.append({"rel": "item", "href": f"{name}.json"})
    (tmp_path / "catalog.json").write_text(json.dumps({"type": "Catalog", "id": "odd", "links": links}))
    with caplog.at_level(logging.WARNING):
        items = CatalogReader(str(tmp_path / "catalog.json"), client).items((), square, None)
        found = grouped_by_year(items, square, "image")
    assert {year: [item.id for item in items] for year, items in found.items()} == {
        2010: ["range"],
        2012: ["day"],
        2019: ["own"],
    }
    for name in ("none", "null", "words"):
        assert f"item {name} is left out: it states neither a year nor a date" in caplog.text


@pytest.mark.parametrize(("licence", "allowed"), [("Public-Domain", True), ("CC-BY-4.0", True), ("proprietary", False)])
def test_imagery_that_no_release_may_hold_is_refused_before_the_run(licence: str, allowed: bool) -> None:
    terms = {"licence": licence, "attribution": "x", "rate_limits": {"contact": "ann@maps.test"}}
    for source in (
        StacAerial(catalog="https://maps.test/stac", **terms),
        TilesAerial(url="https://maps.test/{z}/{x}/{y}.jpg", year=2020, **terms),
    ):
        expected = [] if allowed else [f"licence: {licence!r} does not allow to publish, or is not known to"]
        assert source.problems() == expected


def test_a_path_of_this_machine_is_no_source() -> None:
    assert aerial_stac._address("/home/ann/naip/a.tif") == ""
    assert aerial_stac._address("s3://naip/a.tif") == "s3://naip/a.tif"
