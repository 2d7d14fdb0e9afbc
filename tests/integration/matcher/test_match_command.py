"""`mapdata match` on real files of every kind."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from typer.testing import CliRunner

from mapdata.cli import build_app
from mapdata.image_files import read_image_file
from matcher.errors import InputError
from matcher.images import as_rgb

pytestmark = pytest.mark.integration

SHIFT = np.array([12.0, -7.0])


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    generator = np.random.default_rng(5)
    image = np.full((300, 320, 3), 200, np.uint8)
    for _ in range(600):
        y, x = generator.integers(0, [300, 320])
        image[y : y + generator.integers(4, 30), x : x + generator.integers(4, 30)] = generator.integers(0, 255, 3)
    return image


@pytest.fixture
def pair(scene: np.ndarray, tmp_path: Path) -> tuple[Path, Path]:
    """A PNG, and a GeoTIFF of the same scene moved by SHIFT, 16 bits deep, four bands, with no-data."""
    left, right = tmp_path / "left.png", tmp_path / "right.tif"
    cv2.imwrite(str(left), scene[..., ::-1])
    moved = cv2.warpAffine(scene, np.array([[1, 0, SHIFT[0]], [0, 1, SHIFT[1]]]), (320, 300)).astype(np.uint16) * 9 + 50
    moved[280:] = 0
    bands = np.concatenate([moved.transpose(2, 0, 1), moved[None, ..., 0]])
    profile = {"driver": "GTiff", "width": 320, "height": 300, "count": 4, "dtype": "uint16", "nodata": 0}
    with rasterio.open(right, "w", **profile, crs="EPSG:3857", transform=from_origin(0, 0, 2, 2)) as raster:
        raster.write(bands)
    return left, right


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(build_app(), ["match", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_two_files_give_their_homography(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out, plot = tmp_path / "deep" / "matches.json", tmp_path / "deep" / "matches.png"
    status, text = run(*pair, "--matcher", "rootsift", "--json", "--out", out, "--plot", plot)
    summary = json.loads(text)
    assert status == 0
    assert summary["matcher"] == "rootsift"
    np.testing.assert_allclose(np.array(summary["homography"])[:2, 2], SHIFT, atol=1)
    written = json.loads(out.read_text())
    assert {name: written[name] for name in summary} == summary
    inliers = np.array(written["inlier"])
    assert inliers.sum() == summary["inliers"] > 30
    assert len(written["points0"]) == len(written["points1"]) == len(written["scores"]) == summary["matches"]
    moved = np.array(written["points1"])[inliers] - np.array(written["points0"])[inliers]
    assert np.abs(moved - SHIFT).max() < 4
    assert cv2.imread(str(plot)).shape[1] >= 640


def test_the_text_says_what_was_found(pair: tuple[Path, Path]) -> None:
    status, text = run(*pair, "--matcher", "akaze")
    assert status == 0
    assert "inliers" in text
    assert "homography (residual" in text


def test_no_homography_is_said_and_told_by_the_status(pair: tuple[Path, Path], tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.zeros((64, 64, 3), np.uint8))
    status, text = run(pair[0], blank, "--matcher", "rootsift", "--plot", tmp_path / "none.png")
    assert status == 1
    assert "no homography: 0 matches" in text
    assert (tmp_path / "none.png").is_file()


def test_bad_files_are_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.png: there is no such file"):
        run(pair[0], tmp_path / "absent.png", "--matcher", "rootsift")
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(InputError, match=r"text\.tif: cannot read this raster"):
        run(tmp_path / "text.tif", pair[0], "--matcher", "rootsift")


def test_rasters_of_other_depths_and_no_data(tmp_path: Path, scene: np.ndarray) -> None:
    height, width = scene.shape[:2]
    values = scene[..., 0].astype(np.float32) * 40 - 3000
    values[:20] = np.nan
    with rasterio.open(
        tmp_path / "dem.tif", "w", driver="GTiff", width=width, height=height, count=1, dtype="float32", nodata=np.nan
    ) as raster:
        raster.write(values, 1)
    image = read_image_file(tmp_path / "dem.tif")
    assert (image[:20] == 255).all()
    assert np.corrcoef(image[20:, :, 0].ravel(), scene[20:, :, 0].ravel())[0, 1] > 0.99


def test_palettes_are_resolved(tmp_path: Path) -> None:
    indices = np.arange(16, dtype=np.uint8).reshape(1, 4, 4) % 3
    with rasterio.open(
        tmp_path / "palette.png", "w", driver="PNG", width=4, height=4, count=1, dtype="uint8"
    ) as raster:
        raster.write(indices)
        raster.write_colormap(1, {0: (10, 20, 30, 255), 1: (200, 100, 0, 255), 2: (1, 2, 3, 255)})
    assert read_image_file(tmp_path / "palette.png")[0, :3].tolist() == [[10, 20, 30], [200, 100, 0], [1, 2, 3]]


def test_real_imagery(shared_data: Path) -> None:
    for path, bands in (("naip", 4), ("spacenet", 1), ("swellendam", 3)):
        for file in sorted((shared_data / "georeferenced" / path).glob("*.tif")):
            image = read_image_file(file)
            assert as_rgb(image) is image
            assert image.std() > 10, file
            with rasterio.open(file) as raster:
                assert image.shape == (raster.height, raster.width, 3)
                assert raster.count >= min(bands, 3)
