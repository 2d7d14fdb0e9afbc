"""Alignment of real tiles that lack something: data, structure, the other half of the map, a georeference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from swiss_tiles import Tiles, assemble, save

from raster.homography import apply_homography
from stages.align.pair import Evidence, align_pair
from stages.rasters import open_any, open_pair

pytestmark = pytest.mark.integration

PLACE: Tiles = (34512, 34517, 23056, 23060)
WIDER: Tiles = (34509, 34519, 23055, 23062)
WRONG_PX = 5.0


def aligned(map_path: Path, visible_path: Path, matcher: str = "cfog") -> Evidence:
    with open_pair(map_path, visible_path, siblings=True) as pair:
        return align_pair(pair, matcher=matcher)


def move_against_georeference(evidence: Evidence) -> float:
    """Return how far, at most, the middle and the corners of the data end from where the georeferences put them: at
    Landquart these are right to about 4 px."""
    assert evidence.prior is not None
    points = np.array([[300.0, 200], [1200, 200], [750, 600], [300, 1000], [1200, 1000]])
    there = apply_homography(evidence.alignment.transform.homography, points)
    return float(np.linalg.norm(there - apply_homography(evidence.prior, points), axis=1).max())


@pytest.fixture(scope="module")
def image(shared_data: Path) -> np.ndarray:
    return assemble(shared_data, "swissimage", "jpg", PLACE)


@pytest.fixture(scope="module")
def chart(shared_data: Path) -> np.ndarray:
    return assemble(shared_data, "lk25", "png", PLACE)


def wedges(image: np.ndarray) -> np.ndarray:
    """Cut all corners off, as a raster turned by its warp has them."""
    height, width = image.shape[:2]
    corners = np.array([[width * 0.3, 0], [width, height * 0.25], [width * 0.7, height], [0, height * 0.75]])
    inside = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), corners.astype(np.int32), 255)
    return np.where(inside[..., None] > 0, image, 0).astype(np.uint8)


def left_half(image: np.ndarray) -> np.ndarray:
    """Take the data of the right half away."""
    half = image.copy()
    half[:, image.shape[1] // 2 :] = 0
    return half


@pytest.mark.parametrize("spoil", [wedges, left_half])
def test_no_data_is_never_taken_for_structure(
    spoil: Callable[[np.ndarray], np.ndarray], image: np.ndarray, chart: np.ndarray, tmp_path: Path
) -> None:
    evidence = aligned(save(tmp_path / "m.tif", chart, PLACE), save(tmp_path / "v.tif", spoil(image), PLACE))
    assert evidence.windows is not None
    alpha = spoil(image)[..., 3] > 0
    x, y = np.rint(evidence.windows.expected).astype(int).T
    assert alpha[y, x].all(), "a window in the middle of nothing"
    assert not evidence.accepted or move_against_georeference(evidence) < WRONG_PX


def test_a_map_sheet_that_ends_inside_the_image(image: np.ndarray, chart: np.ndarray, tmp_path: Path) -> None:
    sheet = np.ascontiguousarray(chart[:, : chart.shape[1] * 2 // 3])
    evidence = aligned(save(tmp_path / "m.tif", sheet, PLACE), save(tmp_path / "v.tif", image, PLACE))
    assert evidence.windows is not None
    assert (evidence.windows.expected[:, 0] < sheet.shape[1]).all()
    assert not evidence.accepted or move_against_georeference(evidence) < WRONG_PX


def test_a_map_that_covers_more_than_the_image(shared_data: Path, image: np.ndarray, tmp_path: Path) -> None:
    wider = assemble(shared_data, "lk25", "png", WIDER)
    evidence = aligned(save(tmp_path / "m.tif", wider, WIDER), save(tmp_path / "v.tif", image, PLACE))
    assert evidence.accepted, evidence.alignment.reason
    points = np.array([[900.0, 400], [2000, 400], [2000, 1400], [900, 1400]])
    there = apply_homography(evidence.alignment.transform.homography, points)
    assert np.linalg.norm(there - apply_homography(evidence.prior, points), axis=1).max() < WRONG_PX


@pytest.mark.parametrize("kind", ["lake", "snow", "forest"])
def test_ground_without_structure_needs_a_person(
    kind: str, image: np.ndarray, chart: np.ndarray, tmp_path: Path
) -> None:
    generator = np.random.default_rng(3)
    plain = image.copy()
    if kind == "lake":
        plain[..., :3] = (38, 62, 84)
    elif kind == "snow":
        plain[..., :3] = np.clip(248 + generator.normal(0, 1.5, plain[..., :3].shape), 0, 255)
    else:  # crowns of a real forest, shuffled: texture that is nowhere that of the map
        crowns = image[:, -256:][:256]
        rows, columns = (length // 256 for length in image.shape[:2])
        turned = [np.rot90(crowns, int(generator.integers(4))) for _ in range(rows * columns)]
        plain = np.vstack([np.hstack(turned[row * columns : (row + 1) * columns]) for row in range(rows)])
    evidence = aligned(save(tmp_path / "m.tif", chart, PLACE), save(tmp_path / "v.tif", plain, PLACE))
    assert not evidence.accepted
    assert evidence.alignment.reason


@pytest.mark.parametrize(
    ("matcher", "method"), [("fast-mapglue", "fast-mapglue+mapglue"), ("rootsift", "cfog+mapglue")]
)
def test_a_matcher_is_asked_first_and_the_correlation_helps_where_it_fails(
    image: np.ndarray, chart: np.ndarray, tmp_path: Path, matcher: str, method: str
) -> None:
    evidence = aligned(save(tmp_path / "m.tif", chart, PLACE), save(tmp_path / "v.tif", image, PLACE), matcher)
    assert evidence.accepted
    assert evidence.alignment.method == method
    assert move_against_georeference(evidence) < WRONG_PX


def test_palettes_and_sixteen_bits_are_read_as_colours(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 4, (600, 700), dtype=np.uint8)
    colours = np.array([[255, 255, 255], [200, 30, 40], [10, 120, 60], [0, 0, 0]], np.uint8)
    with rasterio.open(tmp_path / "p.tif", "w", "GTiff", 700, 600, 1, dtype="uint8", photometric="palette") as file:
        file.write_colormap(1, {i: (*map(int, colour), 255) for i, colour in enumerate(colours)})
        file.write(values, 1)
        assert file.colorinterp[0] is ColorInterp.palette
    with open_any(tmp_path / "p.tif") as side:
        np.testing.assert_array_equal(side.read(0, 0, 700, 600)[0], colours[values])
        assert side.read(3, 5, 697, 595, 4)[0].shape == (149, 175, 3)
    deep = np.linspace(1000, 3000, 700 * 600).reshape(600, 700).astype(np.uint16)
    with rasterio.open(tmp_path / "d.tif", "w", "GTiff", 700, 600, 1, dtype="uint16") as file:
        file.write(deep, 1)
    with open_any(tmp_path / "d.tif") as side:
        whole, part = side.read(0, 0, 700, 600)[0], side.read(0, 300, 700, 100)[0]
    np.testing.assert_array_equal(whole[300:400], part)
    assert whole[0, 0, 0] == 0
    assert whole[-1, -1, 0] == 255
    assert (np.diff(whole[:, 350, 0].astype(int)) >= 0).all()


@pytest.mark.parametrize("reduce", [2, 3, 7])
def test_reduction_averages_whole_blocks_and_masks_those_with_a_gap(tmp_path: Path, reduce: int) -> None:
    generator = np.random.default_rng(reduce)
    pixels = generator.integers(0, 256, (1300, 900, 4), dtype=np.uint8)
    pixels[..., 3] = np.where(generator.random((1300, 900)) < 0.01, 0, 255)
    path = save(tmp_path / "r.tif", pixels, PLACE)
    with open_any(path) as side:
        image, mask = side.read(0, 0, 900 // reduce * reduce, 1300 // reduce * reduce, reduce)
    blocks = pixels[: 1300 // reduce * reduce, : 900 // reduce * reduce].reshape(
        1300 // reduce, reduce, 900 // reduce, reduce, 4
    )
    np.testing.assert_array_equal(mask, (blocks[..., 3] > 0).all(axis=(1, 3)))
    mean = blocks[..., :3].astype(float).mean(axis=(1, 3))
    assert np.abs(image[mask].astype(float) - mean[mask]).max() <= 1
