"""What an alignment depends on is in its unit's key: every limit, the matcher, the content of weights, the points."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from matcher.mapglue.config import SHIPPED
from pipeline.stage import Result, RunView
from stages.align import AlignParams, AlignStage

pytestmark = pytest.mark.unit

SIDE = {"width": 9, "height": 9, "crs": "EPSG:32632", "transform": [1, 0, 0, 0, -1, 0]}
ACQUIRED = {f"001/1/{side}": Result(data=SIDE | {"path": f"{side}.tif", "digest": side}) for side in ("map", "visible")}


def key(workspace: Path, **params: Any) -> str:
    stage = AlignStage(AlignParams.model_validate(params))
    (unit,) = stage.plan(RunView(workspace, 0, {"acquire": ACQUIRED}))
    return unit.key


def numbers(values: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the place of every number in nested limits."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from numbers(value, (*above, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*above, name)


@pytest.mark.parametrize("field", ["limits", "manual"])
def test_every_limit_is_in_the_key(tmp_path: Path, field: str) -> None:
    values = getattr(AlignParams(), field).model_dump()
    places = list(numbers(values))
    assert len(places) > 3
    found = {key(tmp_path)}
    for place in places:
        changed = deepcopy(values)
        parent = changed
        for name in place[:-1]:
            parent = parent[name]
        value = parent[place[-1]]
        parent[place[-1]] = value + 1 if isinstance(value, int) else value * 0.99 or 0.001
        found.add(key(tmp_path, **{field: changed}))
    assert len(found) == 1 + len(places)


def test_the_content_of_weights_is_in_the_key_and_their_time_is_not(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    shutil.copyfile(SHIPPED / "fast-mapglue.safetensors", path)
    before = key(tmp_path, matcher=f"fast-mapglue@{path}")
    assert before != key(tmp_path)
    path.touch()
    assert key(tmp_path, matcher=f"fast-mapglue@{path}") == before
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert key(tmp_path, matcher=f"fast-mapglue@{path}") != before


@pytest.mark.parametrize(("features", "depends"), [("mapglue", True), ("cfog", False)])
def test_the_features_and_their_weights_are_in_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str, depends: bool
) -> None:
    params = {"limits": {"windows": {"features": features}}}
    before = key(tmp_path, **params)
    assert (before == key(tmp_path)) is (features == "mapglue")
    changed = tmp_path / "features.safetensors"
    changed.write_bytes(b"other weights")
    monkeypatch.setattr("stages.align.FEATURE_MAP_FILE", changed)
    assert (before != key(tmp_path, **params)) is depends


def test_points_are_in_the_key(tmp_path: Path) -> None:
    before = key(tmp_path)
    (tmp_path / "tiepoints/001").mkdir(parents=True)
    (tmp_path / "tiepoints/001/1.csv").write_text("name,map_x,map_y,visible_x,visible_y\na,1,2,3,4\n")
    assert key(tmp_path) != before
    assert key(tmp_path, method="georeference") == key(tmp_path / "elsewhere", method="georeference")
