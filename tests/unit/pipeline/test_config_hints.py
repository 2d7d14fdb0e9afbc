"""Each fault of a configuration gets one hint, the right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapdata.recipes import load_recipe
from pipeline.errors import ConfigError

pytestmark = pytest.mark.unit

_REST = "  acquire: {map: {kind: simulated-map}, visible: {kind: simulated-image}}\n"
_BOX = "bounds: [9.5, 46.9, 9.6, 47.0], gsd: 1.0"


@pytest.mark.parametrize(
    ("site", "hints"),
    [
        (f"point: 001, {_BOX}", ["stages.sample.sites.0.point: 001 is read as a number; put quotes round it: '001'"]),
        (f"point: yes, {_BOX}", ["0.point: yes is read as true or false; put quotes round it: 'yes'"]),
        (f"point: 2024-01-02, {_BOX}", ["0.point: 2024-01-02 is read as a date; put quotes round it: '2024-01-02'"]),
        ("point: a, raster: x.tif, stratum: 1.5", ["0.stratum: 1.5 is read as a number; put quotes round it: '1.5'"]),
        (f"pont: a, {_BOX}", ["0.pont: there is no such field; did you mean 'point'?"]),
        ("point: a, bounds: [9.5, 46.9, 9.6, 47.0]", ["0.gsd: this field is required"]),
        ("point: a, bounds: [9.5, 46.9, 9.6], gsd: 1", ["0.bounds.3: this field is required"]),
        ("point: a, bounds: [9.6, 46.9, 9.5, 47.0, 1], gsd: 1.0", ["0.bounds: Tuple should have at most 4 items"]),
        ("point: a, bounds: [.nan, 46.9, 9.6, 47.0], gsd: 1.0", ["sites.0: bounds are west, south, east, north"]),
        ("point: a, bounds: [9.5, 47.0, 9.6, 46.9], gsd: 1.0", ["sites.0: bounds are west, south, east, north"]),
        ("point: a, bounds: [9.5, 46.9, 9.6, 47.0], gsd: .inf", ["0.gsd: this is no number"]),
        ("point: a, bounds: [9.5, 46.9, 9.6, 47.0], gsd: inf", ["0.gsd: this is no number"]),
        ("point: a, bounds: [9.5, 46.9, 9.6, 47.0], gsd: 1e999", ["0.gsd: this is no number"]),
        ("point: a, bounds: [9.5, 46.9, 9.6, 47.0], gsd: 1:30", ["4:61: not a valid int (YAML reads 1:30 as 90)"]),
        ("point: a, bounds: [9.5, 46.9, 9.6, 47.0], gsd: 1:30.5", ["not a valid float (YAML reads 1:30.5 as 90.5)"]),
        ("point: a, bounds: [9.5, 46.9, 9.6, 047], gsd: 1", ["not a valid int (YAML reads 047 as 39)"]),
        (f"point: a, no: b, {_BOX}", ["the key 'no' is read as bool; put quotes round it"]),
        (f"point: 1, site: 2, {_BOX}", ["0.point: 1 is read as a number", "0.site: 2 is read as a number"]),
    ],
)  # fmt: skip
def test_a_fault_gets_one_hint(tmp_path: Path, site: str, hints: list[str]) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"name: t\nstages:\n  sample:\n    sites: [{{{site}}}]\n{_REST}")
    with pytest.raises(ConfigError) as raised:
        load_recipe(path)
    lines = str(raised.value).splitlines()
    assert len(lines) == len(hints), lines
    for line, hint in zip(lines, hints, strict=True):
        assert hint in line
