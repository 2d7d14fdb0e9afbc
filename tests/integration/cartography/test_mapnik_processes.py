"""Mapnik beside the other geographic libraries of one process, and the same bytes in every process."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys

import pytest

from cartography.frame import Frame
from cartography.mapnik_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.styles import named

pytestmark = pytest.mark.integration

IMPORTS = {
    "mapnik": "from cartography.mapnik_import import mapnik",
    "rasterio": "import rasterio, rasterio.warp",
    "pyproj": "import pyproj",
}
USE = """
import os
assert "GDAL_DATA" not in os.environ and os.environ.get("PROJ_LIB") == EXPECTED, dict(os.environ)
x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(8.5, 47.4)
((u,), (v,)) = rasterio.warp.transform("EPSG:4326", "EPSG:32632", [8.5], [47.4])
assert abs(x - u) < 1e-3 and abs(y - v) < 1e-3 and 4.5e5 < x < 4.7e5, (x, u, y, v)
assert rasterio.crs.CRS.from_epsg(2056).to_wkt()
assert mapnik.Map(10, 10).width == 10
"""


@pytest.mark.parametrize("order", list(itertools.permutations(IMPORTS)))
def test_projections_work_whatever_is_imported_first(order: tuple[str, ...]) -> None:
    _python("\n".join([*(IMPORTS[name] for name in order), "EXPECTED = None", USE]))


def test_variables_that_were_set_before_are_kept() -> None:
    code = f"""{IMPORTS["mapnik"]}
import os
print(os.environ["PROJ_LIB"], os.environ["GDAL_DATA"])
"""
    assert _python(code, PROJ_LIB="one", GDAL_DATA="two").split() == ["one", "two"]


@pytest.mark.parametrize("style", ["web-light", "topographic"])
def test_another_process_draws_the_same_bytes(style: str) -> None:
    code = f"""
import hashlib
from cartography.frame import Frame
from cartography.mapnik_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.styles import named
image = render_map(SyntheticScene(9, "town"), Frame(12.5, 800.0, 0.7, 500, 400), named({style!r}))
print(hashlib.sha256(image.tobytes()).hexdigest())
"""
    image = render_map(SyntheticScene(9, "town"), Frame(12.5, 800.0, 0.7, 500, 400), named(style))
    # Another hash seed gives sets and dictionaries of strings another order.
    assert _python(code, PYTHONHASHSEED="77").strip() == hashlib.sha256(image.tobytes()).hexdigest()


def _python(code: str, **variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PROJ_LIB", "GDAL_DATA", "PROJ_DATA")}
    done = subprocess.run([sys.executable, "-c", code], env=environment | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
