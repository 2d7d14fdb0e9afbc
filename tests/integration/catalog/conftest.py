"""A small world to build releases from: two points, three raster pairs, tiles as files and as arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely
from affine import Affine
from blake3 import blake3
from pyproj import Transformer

from catalog.build import build_release
from catalog.model import About, Contents, Format
from catalog.pairs import SCHEMA
from catalog.pairs.model import Raster, RasterPair

SIZE = 64
GRID = 4  # tiles a side
MakeContents = Callable[..., tuple[Contents, Path]]

_SITES = [("001", "1", "train", 0.0), ("001", "2", "train", 5000.0), ("002", "1", "test", 90000.0)]


def _digest(data: bytes) -> str:
    return blake3(data).hexdigest()


def _image(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (SIZE * GRID // 8, SIZE * GRID // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (SIZE * GRID, SIZE * GRID), interpolation=cv2.INTER_CUBIC)


def _footprint(transform: Affine, size: int) -> bytes:
    corners = [transform @ corner for corner in ((0, 0), (size, 0), (size, size), (0, size))]
    lonlat = Transformer.from_crs("EPSG:3857", "EPSG:4326", always_xy=True)
    return shapely.to_wkb(shapely.Polygon([lonlat.transform(*corner) for corner in corners]))


def _raster(folder: Path, image: np.ndarray, transform: Affine, date: str, source: str) -> Raster:
    folder.parent.mkdir(parents=True, exist_ok=True)
    size = image.shape[0]
    profile = {"driver": "GTiff", "width": size, "height": size, "count": 3, "dtype": "uint8", "crs": "EPSG:3857"}
    with rasterio.open(folder, "w", transform=transform, **profile) as file:
        file.write(image.transpose(2, 0, 1))
    content = folder.read_bytes()
    return Raster(
        folder, _digest(content), len(content), size, size, "EPSG:3857", tuple(transform)[:6],
        source, "CC-BY-4.0", f"© {source}", date, 0.0,
    )  # fmt: skip


def make_contents(root: Path, tile_format: str = "png") -> tuple[Contents, Path]:
    """Return contents whose files lie below `root`. The last pair of each raster pair is rejected."""
    pairs, sources, rasters = [], [], []
    suffix = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}.get(tile_format, ".npy")
    for number, (point, site, split, east) in enumerate(_SITES):
        transform = Affine(1.5, 0, 1_000_000 + east, 0, -1.5, 6_000_000)
        sides = {"map": _image(2 * number), "visible": _image(2 * number + 1)}
        dates = {"map": "2024", "visible": "2023-07-15"}
        files = {
            side: _raster(root / f"rasters/{point}/{site}/{side}.tif", image, transform, dates[side], f"{side} service")
            for side, image in sides.items()
        }
        evidence = root / f"alignment/{point}/{site}/alignment.json"
        evidence.parent.mkdir(parents=True)
        evidence.write_text('{"verdict": "accepted"}')
        rasters.append(
            RasterPair(
                point, site, files["map"], files["visible"], _footprint(transform, SIZE * GRID), 1.0,
                (1.0, 0.0, 0.5, 0.0, 1.0, -0.25, 0.0, 0.0, 1.0), "georeference", 0.8, 12, "city",
                evidence=(evidence,),
            )
        )  # fmt: skip
        stacks: dict[str, list[np.ndarray]] = {"map": [], "visible": []}
        for row in range(GRID):
            for col in range(GRID):
                tile = transform @ Affine.translation(col * SIZE, row * SIZE)
                pair_id = f"{point}_{site}_{row:04d}_{col:04d}"
                record: dict = {
                    "pair_id": pair_id, "point_id": point, "site_id": site, "stratum": "city", "row": row, "col": col,
                    "size": SIZE, "split": split, "verdict": "accepted", "reasons": [],
                    "format": tile_format, "crs": "EPSG:3857",
                    "transform": list(tile)[:6], "gsd": 1.0, "homography": rasters[-1].homography, "residual_px": 0.8,
                    "predicted_px": 1.6, "inliers": 12, "method": "georeference", "geometry": _footprint(tile, SIZE),
                    "operators": [], "operator_px": [],
                }  # fmt: skip
                if (row, col) == (GRID - 1, GRID - 1):
                    record |= {"verdict": "rejected", "reasons": ["map: no data on 31%"]}
                place: dict = {"pair_id": pair_id, "index": row * GRID + col if suffix == ".npy" else 0}
                for side, image in sides.items():
                    pixels = np.ascontiguousarray(image[row * SIZE : (row + 1) * SIZE, col * SIZE : (col + 1) * SIZE])
                    stacks[side].append(pixels)
                    content = pixels.tobytes()
                    place[f"{side}_file"] = f"tiles/{point}/{site}/{side}/all.npy"
                    if suffix != ".npy":
                        place[f"{side}_file"] = f"tiles/{point}/{site}/{side}/{pair_id}{suffix}"
                        content = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
                        target = root / place[f"{side}_file"]
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(content)
                    raster = files[side]
                    record |= {
                        f"{side}_digest": _digest(content), f"{side}_bytes": len(content),
                        f"{side}_nodata": round(0.001 * row + 0.0001 * col, 4),
                        f"{side}_source": raster.source, f"{side}_licence": raster.licence,
                        f"{side}_attribution": raster.attribution, f"{side}_date": raster.date,
                        f"{side}_raster": raster.digest,
                    }  # fmt: skip
                pairs.append(record)
                sources.append(place)
        if suffix == ".npy":
            for side, stack in stacks.items():
                target = root / f"tiles/{point}/{site}/{side}/all.npy"
                target.parent.mkdir(parents=True, exist_ok=True)
                np.save(target, np.stack(stack))
    about = About(
        "MapData test", "Map-visible pairs of a test.", "1.0", "CC-BY-4.0", "MapData", "https://example.org/mapdata",
        {"mapdata": "0.1.0"}, seed=7,
    )  # fmt: skip
    tables = pa.Table.from_pylist(pairs, SCHEMA.columns), pa.Table.from_pylist(sources, SCHEMA.sources)
    return Contents(about, *tables, rasters), root


@pytest.fixture(name="make_contents", scope="session")
def make_contents_fixture() -> MakeContents:
    """Return `make_contents(root, tile_format="png")`."""
    return make_contents


@pytest.fixture(scope="session")
def whole_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a release with all parts, its rasters as they are, which tests read and never change."""
    root = tmp_path_factory.mktemp("whole")
    contents, _ = make_contents(root)
    build_release(SCHEMA, contents, root, root / "release", [name for name in Format if name is not Format.COGS])
    return root / "release"
