"""Footprints anywhere on the globe: split at the antimeridian, led round the poles, the same when done again."""

from __future__ import annotations

import itertools
import json
import warnings

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from catalog.geometry import bounds, footprints, geojson

pytestmark = pytest.mark.unit


def _footprint(*corners: tuple[float, float]) -> shapely.Geometry:
    (shape,) = footprints(pa.chunked_array([pa.array([shapely.to_wkb(shapely.Polygon(corners))], pa.binary())]))
    return shape


@pytest.mark.parametrize(
    ("corners", "box", "parts"),
    [
        ([(179.9, 1), (-179.9, 1), (-179.9, 0), (179.9, 0)], [179.9, 0, -179.9, 1], 2),
        ([(170, 1), (190, 1), (190, 0), (170, 0)], [170, 0, -170, 1], 2),  # 0 to 360
        ([(350, 1), (355, 1), (355, 0), (350, 0)], [-10, 0, -5, 1], 1),
        ([(180, 1), (185, 1), (185, 0), (180, 0)], [-180, 0, -175, 1], 1),
        ([(175, 1), (180, 1), (180, 0), (175, 0)], [175, 0, 180, 1], 1),
        ([(-45, 89), (45, 89), (135, 89), (-135, 89)], [-180, 89, 180, 90], 1),  # round the pole, either way
        ([(-135, 89), (135, 89), (45, 89), (-45, 89)], [-180, 89, 180, 90], 1),
        ([(45, 89), (135, 89), (225, 89), (315, 89)], [-180, 89, 180, 90], 1),
        ([(-45, -89), (-135, -89), (135, -89), (45, -89)], [-180, -90, 180, -89], 1),
        ([(10, 50), (11, 50), (11, 51), (10, 51)], [10, 50, 11, 51], 1),
    ],
)
def test_known_footprints(corners, box, parts):
    shape = _footprint(*corners)
    assert shape.is_valid
    assert len(shapely.get_parts(shape)) == parts
    np.testing.assert_allclose(bounds(np.array([shape], dtype=object))[0], box)
    (again,) = footprints(pa.chunked_array([pa.array([shapely.to_wkb(shape)], pa.binary())]))
    assert shapely.to_wkb(again) == shapely.to_wkb(shape)


@given(
    lon=st.floats(-180, 360),
    lat=st.floats(-90, 90),
    half=st.sampled_from([100.0, 5_000.0, 200_000.0]),
    turn=st.floats(0, 360),
    full_circle=st.booleans(),
)
def test_a_raster_anywhere_holds_its_centre_and_keeps_its_area(lon, lat, half, turn, full_circle):
    corners = half * np.sqrt(2) * np.exp(1j * np.radians(turn - 45 - 90 * np.arange(5)))
    # An equal-area projection about the centre: the true area is known. Edges are densified, as straight ones are none.
    edge = np.concatenate([np.linspace(a, b, 40, endpoint=False) for a, b in itertools.pairwise(corners)])
    crs = CRS.from_proj4(f"+proj=laea +lat_0={lat} +lon_0={lon}")
    lons, lats = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(edge.real, edge.imag)
    if full_circle:
        lons = lons % 360
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shape = _footprint(*zip(lons, lats, strict=True))
    assert shape.is_valid
    assert (np.abs(shapely.get_coordinates(shape)[:, 0]) <= 180).all()
    _, south, _, north = bounds(np.array([shape], dtype=object))[0]
    assert south <= lat + 1e-6
    assert lat - 1e-6 <= north
    cylindrical = Transformer.from_crs("OGC:CRS84", "+proj=cea", always_xy=True)
    dense = shapely.segmentize(shape, 1.0)
    area = shapely.transform(dense, lambda xy: np.stack(cylindrical.transform(*xy.T), axis=1)).area
    assert area == pytest.approx(4 * half**2, rel=0.02)
    assert json.loads(json.dumps(geojson(shape)))["type"] in ("Polygon", "MultiPolygon")
    (again,) = footprints(pa.chunked_array([pa.array([shapely.to_wkb(shape)], pa.binary())]))
    assert shapely.to_wkb(again) == shapely.to_wkb(shape)
