"""Stage `align`: a raster pair -> the homography from map to visible pixels, and how far to trust it.

Inputs: `rasters/<point>/<site>/{map,visible}.tif`. Output: `alignment/<point>/<site>/alignment.json` (see
`stages.align.result.Alignment`), whose content is also the result's data. A pair without both rasters is no-data; one
whose alignment needs manual tie points is rejected with the reason. Rasters that do not overlap are a permanent error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import PermanentError
from pipeline.files import write_json
from pipeline.stage import Outcome, Result, RunView, Stage, Unit, output
from stages.align.georeference import align_by_georeference
from stages.grid import Grid
from stages.rasters import SIDES


class AlignParams(BaseModel):
    """How map and visible raster are brought together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["georeference"] = Field(
        "georeference", description="`georeference`: trust the CRS and geotransform of both rasters."
    )


class AlignStage(Stage[AlignParams]):
    """Align each raster pair; a unit is a site, such as `001/1`."""

    name: ClassVar[str] = "align"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = AlignParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return a unit for every site of which a side was acquired or found to be without data."""
        acquired = run.results.get("acquire", {})
        units = []
        for name in dict.fromkeys(name.rpartition("/")[0] for name in acquired):
            results = [acquired.get(f"{name}/{side}") for side in SIDES]
            missing = [
                side
                for side, result in zip(SIDES, results, strict=True)
                if result is None or result.outcome is not Outcome.DONE
            ]
            present = {
                side: dict(result.data)
                for side, result in zip(SIDES, results, strict=True)
                if result is not None and side not in missing
            }
            inputs = [data["digest"] for data in present.values()]
            units.append(self.unit(name, {"name": name, "missing": missing, "rasters": present}, inputs))
        return units

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Align one pair. Raises PermanentError if its rasters do not overlap."""
        name = unit.payload["name"]
        if unit.payload["missing"]:
            return Result(outcome=Outcome.NO_DATA, reason=f"no {' and no '.join(unit.payload['missing'])} raster")
        grids = [Grid.from_json(unit.payload["rasters"][side]) for side in SIDES]
        try:
            alignment = align_by_georeference(*grids)
        except PermanentError as error:
            raise PermanentError(f"site {name}: {error}") from error
        path = workspace / "alignment" / name / "alignment.json"
        write_json(path, alignment.to_json())
        outcome = Outcome.DONE if alignment.verdict == "accepted" else Outcome.REJECTED
        return Result((output(workspace, path),), alignment.to_json(), outcome, alignment.reason)
