"""`mapdata config check` finds what would stop a run only after a day of downloads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from geotiff_pair import VISIBLE, write_geotiff
from typer.testing import CliRunner

from mapdata.cli import build_app
from pipeline.errors import ConfigError

pytestmark = pytest.mark.integration

FILE = "kind: geotiff, path: image.tif, source: s, licence: CC0-1.0, attribution: a"
SERVICE = "kind: tiles, url: 'https://tiles.company.eu/{z}/{x}/{y}.png', source: s, licence: CC0-1.0, attribution: a"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    small = VISIBLE.window(0, 0, 64, 64)
    write_geotiff(folder / "image.tif", small, np.zeros((64, 64, 3), np.uint8))
    return folder


@pytest.mark.parametrize(
    ("visible", "more", "status", "words"),
    [
        (FILE, "", 0, "run.yaml: valid; stages: sample, acquire"),
        (FILE.replace("image.tif", "absent.tif"), "", 1, "stages.acquire.visible.path: "),
        (FILE + ", bands: [7]", "", 1, "stages.acquire.visible.bands: "),
        (FILE.replace("source: s", "source: <your source>"), "", 1, "visible.source: '<your source>' is a placeholder"),
        (SERVICE, "", 1, "stages.acquire.visible.rate_limits.contact: is empty"),
        (SERVICE + ", rate_limits: {contact: me@example.org}", "", 1, "'me@example.org' is a placeholder"),
        (SERVICE + ", rate_limits: {contact: me@company.eu}, zoom: 24", "", 1, "visible.zoom: 24 is beyond"),
        (FILE, "  align: {matcher: fast-mapgleu}\n", 2, "did you mean 'fast-mapglue'"),
        (FILE, "  tile: {crs: 'EPSG:4326'}\n", 2, "stages.tile.crs: "),
    ],
)
def test_a_fault_is_found_before_anything_runs(place: Path, visible: str, more: str, status: int, words: str) -> None:
    (place / "run.yaml").write_text(
        "name: t\nstages:\n  sample: {sites: [{point: '001', raster: image.tif}]}\n"
        f"  acquire:\n    map: {{{FILE}}}\n    visible: {{{visible}}}\n{more}"
    )
    done = CliRunner().invoke(build_app(), ["config", "check", str(place / "run.yaml")])
    said = f"{done.output} {done.exception}"
    assert words in " ".join(said.split()), said
    assert (2 if isinstance(done.exception, ConfigError) else done.exit_code) == status  # as the command line ends
