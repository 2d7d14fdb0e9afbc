"""A package from outside the tree adds a source, a matcher and a recipe; every command works with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
import yaml

pytestmark = pytest.mark.end_to_end

SOURCE = '''
"""Source `chequers`: a chessboard on the ground."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydantic import Field

from stages.acquire.local_grid import local_grid
from stages.acquire.source import Site, Source, Strips


class ChequersSource(Source):
    """A chessboard whose squares are white or of one grey level."""

    square: int = Field(16, ge=1, description="Side of a square, px.")
    level: int = Field(0, ge=0, le=255, description="Grey level of every other square.")

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        grid = local_grid(site)
        y, x = np.mgrid[: grid.height, : grid.width] // self.square
        image = np.full((grid.height, grid.width, 4), 255, np.uint8)
        image[(x + y) % 2 == 1, :3] = self.level
        yield Strips(grid, iter([image]), {"DATE": "2026-01-01"})
'''

MATCHER = '''
"""Matcher `corners`: says that the four corners of two images correspond, and the centre."""

import numpy as np

from matcher.types import Matcher, Matches


class CornersMatcher(Matcher):
    """Maps one image onto the other as a whole."""

    name = "corners"

    def correspond(self, image0, image1):
        spots = np.array([[x, y] for x in np.linspace(0, 1, 6) for y in np.linspace(0, 1, 6)], np.float32)
        sizes = [np.array(image.shape[1::-1], np.float32) - 1 for image in (image0, image1)]
        return Matches(spots * sizes[0], spots * sizes[1], np.ones(len(spots), np.float32))
'''

RECIPE = '''
"""Recipe `boards`: sites -> rasters of two roles of its own -> their mean grey levels."""

from pathlib import Path
from typing import ClassVar

import rasterio
from pydantic import BaseModel, ConfigDict, Field

from pipeline.files import write_json
from pipeline.recipe import Recipe
from pipeline.stage import Result, Stage, output
from stages.acquire import AcquireStage
from stages.sample import SampleStage


class MeanParams(BaseModel):
    """How means are written."""

    model_config = ConfigDict(extra="forbid")
    digits: int = Field(1, ge=0, description="Digits after the point.")


class MeanStage(Stage[MeanParams]):
    """Measures every raster; a unit is a role of a site."""

    name: ClassVar = "mean"
    version: ClassVar = 1
    Params: ClassVar = MeanParams
    reads: ClassVar = ("acquire",)

    def plan(self, run):
        return [self.unit(name, {"path": made.data["path"]}, [made.data["digest"]]) for name, made in
                run.read("acquire").items()]

    def run(self, unit, workspace: Path):
        with rasterio.open(workspace / unit.payload["path"]) as raster:
            mean = round(float(raster.read().mean()), self.params.digits)
        path = workspace / "means" / f"{unit.name}.json"
        write_json(path, {"mean": mean})
        return Result((output(workspace, path),), {"mean": mean})


BOARDS = Recipe("boards", (SampleStage, AcquireStage, MeanStage), roles=("aerial", "sar"))
'''

ENTRY_POINTS = """\
[mapdata.sources]
chequers = boards.source:ChequersSource

[mapdata.matchers]
corners = boards.matching:CornersMatcher

[mapdata.recipes]
boards = boards.recipe:BOARDS
"""

SITE = {"point": "001", "bounds": [9.0, 47.0, 9.001, 47.001], "gsd": 0.5}
CHEQUERS = {"source": "boards", "licence": "CC0-1.0", "attribution": "nobody"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package as an installer leaves it: its modules, and its metadata beside them."""
    folder = tmp_path_factory.mktemp("site-packages")
    for name, text in (("__init__", ""), ("source", SOURCE), ("matching", MATCHER), ("recipe", RECIPE)):
        path = folder / "boards" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    metadata = folder / "boards-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: boards\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def mapdata(package: Path, *arguments: str | Path, status: int = 0) -> str:
    """Run the command beside the package; return what it printed."""
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
    ended = subprocess.run(
        [sys.executable, "-m", "mapdata", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout if status == 0 else ended.stderr


def configured(folder: Path, recipe: str = "boards", kind: str = "chequers", **more: Any) -> Path:
    sources = {
        "aerial": {"kind": kind, **CHEQUERS, **more},
        "sar": {"kind": "boards.source:ChequersSource", **CHEQUERS},
    }
    path = folder / "run.yaml"
    stages = {"sample": {"sites": [SITE]}, "acquire": sources}
    path.write_text(yaml.safe_dump({"name": "boards", "recipe": recipe, "stages": stages}))
    return path


@pytest.mark.parametrize("recipe", ["boards", "boards.recipe:BOARDS"])
def test_a_source_and_a_recipe_go_through_every_command(package: Path, tmp_path: Path, recipe: str) -> None:
    config, workspace = configured(tmp_path, recipe, level=100), tmp_path / "work"
    assert "valid; stages: sample, acquire, mean" in mapdata(package, "config", "check", config)
    assert '"sar"' in mapdata(package, "config", "schema", "--recipe", recipe)
    planned = json.loads(mapdata(package, "plan", config, "--json"))
    assert [(row["stage"], row["units"]) for row in planned["stages"]] == [
        ("sample", 1),
        ("acquire", 2),
        ("mean", None),
    ]
    mapdata(package, "run", config, "--workspace", workspace, "--workers", "1")
    status = json.loads(mapdata(package, "status", "--workspace", workspace, "--json"))
    assert status["stages"] == {"sample": {"done": 1}, "acquire": {"done": 2}, "mean": {"done": 2}}
    means = {role: json.loads((workspace / "means/001/1" / f"{role}.json").read_text())["mean"] for role in
             ("aerial", "sar")}  # fmt: skip
    assert means["aerial"] == pytest.approx((255 + 100) / 2, abs=5)
    assert means["sar"] == pytest.approx(255 / 2, abs=5)
    with rasterio.open(workspace / "rasters/001/1/sar.tif") as raster:
        assert raster.tags()["DATE"] == "2026-01-01"
    assert "0 faults" in mapdata(package, "verify", "--workspace", workspace)
    assert "mean 001/1/sar" in mapdata(
        package, "retry", "--workspace", workspace, "--state", "done", "--stage", "mean", "--unit", "*/sar"
    )


@pytest.mark.parametrize(
    ("given", "place", "words"),
    [
        ({"recipe": "borads"}, "recipe", "no recipe is called 'borads'; did you mean 'boards'?"),
        ({"kind": "chekers"}, "stages.acquire.aerial.kind", "no source is called 'chekers'; did you mean 'chequers'?"),
        ({"kind": "boards.source:Chequers"}, "stages.acquire.aerial.kind", "did you mean 'ChequersSource'?"),
        ({"kind": "boards.sorce:ChequersSource"}, "stages.acquire.aerial.kind", "cannot be imported"),
        ({"levle": 3}, "stages.acquire.aerial.levle", "did you mean 'level'?"),
    ],
)
def test_what_is_misspelt_is_named(
    package: Path, tmp_path: Path, given: dict[str, Any], place: str, words: str
) -> None:
    config = configured(tmp_path, **given)
    message = mapdata(package, "config", "check", config, status=2)
    line = next(
        number
        for number, text in enumerate(config.read_text().splitlines(), 1)
        if str(next(iter(given.values()))) in text and next(iter(given)) in text
    )
    assert f"{config}:{line}:" in message
    assert place in message
    assert words in message


@pytest.mark.parametrize("matcher", ["corners", "boards.matching:CornersMatcher"])
def test_a_matcher_goes_through_the_commands(package: Path, tmp_path: Path, matcher: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), noise)
    cv2.imwrite(str(tmp_path / "b.png"), cv2.resize(noise, (599, 399)))
    found = json.loads(
        mapdata(package, "match", tmp_path / "a.png", tmp_path / "b.png", "--matcher", matcher, "--json")
    )
    scale = [598 / 299, 398 / 199, 1]
    assert np.allclose(found["homography"], np.diag(scale), atol=1e-3)
    assert (found["matches"], found["inliers"]) == (36, 36)
