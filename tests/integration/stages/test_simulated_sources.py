"""Sources `simulated-map` and `simulated-image`: one ground, a known transform, and the report on it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from pydantic import ValidationError

from pipeline.errors import PermanentError
from raster.grid import Grid
from stages.accuracy import REPORT, summary, true_errors, write_report
from stages.acquire import simulated
from stages.acquire.simulated import MisregistrationRange, SimulatedImageSource, SimulatedMapSource, read_truth
from stages.acquire.source import Site
from stages.align.result import Alignment, Transform
from stages.rasters import write_raster

pytestmark = pytest.mark.integration

STILL = MisregistrationRange(shift_px=0, rotation_deg=0, scale=1, perspective_px=0, warp_px=0, feature_px=0)
RIGID = MisregistrationRange(shift_px=9, rotation_deg=1, scale=1.01, perspective_px=2, warp_px=0, feature_px=0)


def _site(site_id: str = "1", lon: float = 8.5, width_m: float = 260) -> Site:
    dx, dy = width_m / 111_320 / np.cos(np.radians(47)) / 2, 200 / 111_320 / 2
    return Site("004", site_id, shapely.box(lon - dx, 47 - dy, lon + dx, 47 + dy), 0.6, "suburb")


def _pixels(source: SimulatedMapSource | SimulatedImageSource, site: Site, folder: Path) -> tuple[Grid, np.ndarray]:
    with source.open(site, folder) as strips:
        return strips.grid, np.concatenate(list(strips.pixels))


def test_both_sides_have_one_grid_and_depend_on_site_and_seed_alone(tmp_path: Path) -> None:
    map_source, image_source = SimulatedMapSource(), SimulatedImageSource()
    grid, drawn = _pixels(map_source, _site(), tmp_path)
    other_grid, seen = _pixels(image_source, _site(), tmp_path)
    assert grid == other_grid
    assert grid.crs == "EPSG:32632"
    assert grid.gsd == pytest.approx(0.6, rel=2e-3)
    assert drawn.shape == seen.shape == (grid.height, grid.width, 4)
    assert np.array_equal(_pixels(map_source, _site(), tmp_path)[1], drawn)
    assert np.array_equal(_pixels(image_source, _site(), tmp_path)[1], seen)
    assert not np.array_equal(_pixels(SimulatedImageSource(world=1), _site(), tmp_path)[1], seen)
    assert not np.array_equal(_pixels(image_source, _site(lon=8.6), tmp_path)[1], seen)


def test_strips_of_any_height_make_up_the_same_rasters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wholes = [_pixels(source, _site(), tmp_path)[1] for source in (SimulatedMapSource(), SimulatedImageSource())]
    monkeypatch.setattr(simulated, "ROWS", 100)
    for source, whole in zip((SimulatedMapSource(), SimulatedImageSource()), wholes, strict=True):
        assert np.array_equal(_pixels(source, _site(), tmp_path)[1], whole)


def test_a_margin_adds_map_round_the_same_pixels_and_the_truth_goes_with_it(tmp_path: Path) -> None:
    bare, wide = SimulatedMapSource(), SimulatedMapSource(margin_m=12)
    grid, _ = _pixels(bare, _site(), tmp_path)
    truth = read_truth(tmp_path / "rasters/004/1/truth.json")
    wide_grid, drawn = _pixels(wide, _site(), tmp_path)
    moved = read_truth(tmp_path / "rasters/004/1/truth.json")
    assert drawn.shape[:2] == (grid.height + 40, grid.width + 40)
    assert wide_grid.window(20, 20, grid.width, grid.height) == grid
    visible = np.array([[0.0, 0.0], [grid.width - 1.0, 50.0], [100.0, grid.height - 1.0]])
    assert np.allclose(moved.to_map(visible), truth.to_map(visible) + 20, atol=1e-6)
    assert bare.key_fields().keys() == wide.key_fields().keys() - {"margin_m"}


@pytest.mark.parametrize("lat", [0.0, 47.0, -72.0])
def test_a_site_grows_by_so_many_metres_on_each_side(lat: float) -> None:
    site = Site("1", "1", shapely.box(179.99, lat, 180.01, lat + 0.01), 1.0, "")
    _, south, east, _ = site.grown(100).footprint.bounds
    assert (site.footprint.bounds[1] - south) * 111_195 == pytest.approx(100, rel=1e-3)
    assert (east - 180.01) * 111_195 * np.cos(np.radians(lat)) == pytest.approx(100, rel=1e-2)
    assert site.grown(0) is site


def test_the_map_lies_where_the_truth_says(tmp_path: Path) -> None:
    # A style without hatches (they do not move with the map) and with faint lettering (it is laid out anew).
    quiet = ("web-muted",)
    _, still = _pixels(SimulatedMapSource(styles=quiet, misregistration=STILL), _site(), tmp_path)
    _, moved = _pixels(SimulatedMapSource(styles=quiet, misregistration=RIGID), _site(), tmp_path)
    truth = read_truth(tmp_path / "rasters" / "004" / "1" / "truth.json")
    # OpenCV, which knows nothing of scenes, brings the moved map back onto the still one; a quarter of a pixel more in
    # any direction makes the fit worse.
    height, width = still.shape[:2]

    def misfit(dx: float, dy: float) -> float:
        shift = np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])
        back = cv2.warpPerspective(moved[..., :3], shift @ truth.homography, (width, height), flags=cv2.INTER_CUBIC)
        return float(np.abs(back.astype(int) - still[..., :3])[30:-30, 30:-30].mean())

    around = [misfit(dx, dy) for dx in (-0.25, 0, 0.25) for dy in (-0.25, 0, 0.25)]
    assert np.argmin(around) == 4
    assert around[4] < 0.4 * np.abs(moved[..., :3].astype(int) - still[..., :3])[30:-30, 30:-30].mean()


def test_misregistration_keeps_within_its_bounds(tmp_path: Path) -> None:
    width, height = 20_000, 15_000
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], float)
    limits = MisregistrationRange(warp_px=0, feature_px=0)
    # Shift along both axes, rotation and scale at the far corner, perspective.
    reach = np.hypot(width, height) / 2
    most = 6 * np.sqrt(2) + reach * (np.radians(0.2) + 0.003) + 2 * 1.0 + 1
    moved = [np.abs(limits.sample(seed, width, height).to_map(corners) - corners).max() for seed in range(200)]
    assert max(moved) < most
    assert np.median(moved) > 6
    assert np.abs(STILL.sample(3, width, height).to_map(corners) - corners).max() < 1e-6


def test_report_of_a_perfect_alignment_is_zero_and_of_none_the_displacement(tmp_path: Path) -> None:
    for number, misregistration in (("1", RIGID), ("2", STILL)):
        site = _site(number)
        for side, source in (
            ("map", SimulatedMapSource(misregistration=misregistration)),
            ("visible", SimulatedImageSource()),
        ):
            with source.open(site, tmp_path) as strips:
                write_raster(tmp_path / "rasters" / site.name / f"{side}.tif", strips.grid, strips.pixels, {})
    with pytest.raises(PermanentError, match=r"no aligned pair with known truth; run a configuration whose map is"):
        true_errors(tmp_path)

    truth = read_truth(tmp_path / "rasters" / "004" / "1" / "truth.json")
    _save(tmp_path, "004/1", Alignment(Transform(truth.homography), "test"))
    shift = np.array([[1.0, 0, 3.0], [0, 1, -4.0], [0, 0, 1]])
    _save(tmp_path, "004/2", Alignment(Transform(shift), "test", "needs-manual", "for the test"))
    first, second = true_errors(tmp_path)
    assert (first.site, second.site) == ("004/1", "004/2")
    assert first.rms_px == pytest.approx(0, abs=1e-3)
    assert 0.5 < first.before_px < 30
    assert (second.before_px, second.rms_px, second.largest_px) == (0, 5, 5)
    figures = summary([first, second])
    assert (figures["accepted"], figures["median_rms_px"]) == (1, first.rms_px)
    assert json.loads(write_report(tmp_path, [first, second]).read_text()) == figures
    assert (tmp_path / REPORT).exists()


def test_a_local_warp_is_part_of_the_truth(tmp_path: Path) -> None:
    warped = STILL.model_copy(update={"warp_px": 2.0})
    with SimulatedMapSource(misregistration=warped).open(_site(), tmp_path):
        truth = read_truth(tmp_path / "rasters" / "004" / "1" / "truth.json")
    points = np.random.default_rng(1).uniform(0, 300, (500, 2))
    assert 1.0 < np.sqrt(((truth.to_map(points) - points) ** 2).sum(axis=1).mean()) < 5.0


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValidationError, match="no map style is called 'sepia'"):
        SimulatedMapSource(styles=("plan", "sepia"))


def _save(workspace: Path, site: str, alignment: Alignment) -> None:
    path = workspace / "alignment" / site / "alignment.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(alignment.to_json()))
