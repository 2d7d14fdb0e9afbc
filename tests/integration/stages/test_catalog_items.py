"""Items of a stranger's catalog: broken ones are left out, and the others fit by what they say of themselves."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from stranger_catalog import LAT, LON, acquire, item, write_catalog, write_grey

from pipeline.errors import PermanentError

pytestmark = pytest.mark.integration


def crossing(count: int) -> dict[str, object]:
    """Return an outline that crosses itself some count * count / 6 times."""
    ring = (np.random.default_rng(1).random((count, 2)) * 2 + [LON - 1, LAT - 1]).tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def lying_on_each_other(count: int) -> dict[str, object]:
    parts = [[[[9, 46], [11, 46], [11, 48 + number / 1e6], [9, 48], [9, 46]]] for number in range(count)]
    return {"type": "MultiPolygon", "coordinates": parts}


NESTED = (
    '{"type": "GeometryCollection", "geometries": [' * 400 + '{"type": "Point", "coordinates": [10, 47]}' + "]}" * 400
)

BROKEN = [
    item("b", "b.tif") | {"geometry": crossing(2_000)},
    item("b", "b.tif") | {"geometry": {"type": "LineString", "coordinates": crossing(9_000)["coordinates"][0]}},  # type: ignore[index]
    item("b", "b.tif") | {"geometry": lying_on_each_other(3_000)},
    json.dumps(item("b", "b.tif") | {"geometry": 0}).replace('"geometry": 0', f'"geometry": {NESTED}'),
    item("b", "b.tif") | {"assets": [{"href": "b.tif"}]},
    item("b", "b.tif") | {"geometry": {"type": "Polygon", "coordinates": []}},
    item("b", "b.tif") | {"geometry": {"type": "Polygon", "coordinates": [[[10], [11], [12], [10]]]}},
    item("b", "b.tif") | {"geometry": "POINT (10 47)"},
    item("b", "http://[half/b.tif"),
    "no JSON at all",
    "[]",
    "{}",
    item("b", "b.tif") | {"geometry": {"type": "Polygon", "coordinates": "text"}},
    item("b", "b.tif") | {"geometry": {"type": "Polygon", "coordinates": [[[1e999, 2], [3, 4], [5, 6], [1e999, 2]]]}},
    item("b", "b.tif") | {"assets": "text"},
    item("b", "b.tif") | {"assets": None},
    item("b", "b.tif") | {"properties": "text"},
    item("b", 7),
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_item_is_left_out_with_a_warning(
    tmp_path: Path, broken: object, caplog: pytest.LogCaptureFixture
) -> None:
    write_grey(tmp_path / "a.tif", 90)
    with caplog.at_level(logging.WARNING):
        value, _ = acquire(write_catalog(tmp_path, broken, item("a", "a.tif")), tmp_path)
    assert value == 90.0


def span(first: str, last: str) -> dict[str, object]:
    """Return the properties of an item of a range of days."""
    return {"datetime": None, "start_datetime": f"{first}T00:00:00Z", "end_datetime": f"{last}T00:00:00Z"}


@pytest.mark.parametrize(
    ("properties", "changes", "fits"),
    [
        (span("2010-01-01", "2010-12-31"), {}, False),
        (span("2023-06-01", "2024-02-01"), {}, True),
        ({"datetime": None}, {}, False),
        ({"datetime": "yesterday"}, {}, False),
        ({}, {"max_cloud_cover": 20}, False),
        ({"eo:cloud_cover": "many"}, {"max_cloud_cover": 20}, False),
        ({"eo:cloud_cover": None}, {"max_cloud_cover": 20}, False),
        ({"eo:cloud_cover": 12}, {"max_cloud_cover": 20}, True),
        ({"eo:cloud_cover": 50}, {"max_cloud_cover": 20}, False),
    ],
)  # fmt: skip
def test_items_fit_by_what_they_say(
    tmp_path: Path, properties: dict[str, object], changes: dict[str, object], fits: bool
) -> None:
    write_grey(tmp_path / "a.tif", 90)
    catalog = write_catalog(tmp_path, item("a", "a.tif", **properties))
    value, _ = acquire(catalog, tmp_path, dates=["2024-01-01", "2024-12-31"], **changes)
    assert (value == 90.0) is fits


def test_the_date_of_a_range_is_its_range(tmp_path: Path) -> None:
    write_grey(tmp_path / "a.tif", 90)
    ranged = item("a", "a.tif", **span("2023-06-01", "2024-02-01"))
    assert acquire(write_catalog(tmp_path, ranged), tmp_path)[1] == "2023-06-01/2024-02-01"


def test_unknown_cloud_cover_does_not_count_as_clear(tmp_path: Path) -> None:
    for name, grey in (("unknown", 30), ("half", 60)):
        write_grey(tmp_path / f"{name}.tif", grey)
    items = item("u", "unknown.tif"), item("h", "half.tif", **{"eo:cloud_cover": 50})
    assert acquire(write_catalog(tmp_path, *items), tmp_path, prefer="clearest")[0] == 60.0


def test_a_wrong_asset_key_lists_the_keys(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="'visual'; their assets are: image"):
        acquire(write_catalog(tmp_path, item("a", "a.tif")), tmp_path, asset="visual")
