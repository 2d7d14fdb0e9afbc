"""Stage `align`: a raster pair -> the homography from map to visible pixels, and how far to trust it.

Inputs: `rasters/<point>/<site>/{map,visible}.tif` and, where a person has marked some, tie points in
`tiepoints/<point>/<site>.{csv,points,geojson}`. Outputs, in `alignment/<point>/<site>/`: `alignment.json` (see
`stages.align.result.Alignment`), whose content is also the result's data, and the evidence `alignment.parquet`,
`regions.parquet` and `alignment.jpg`; until the site is done, `measured/` there holds what its passes measured. A pair
without both rasters is no-data; one whose alignment needs manual tie points is rejected with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from matcher.mapglue.config import FEATURE_MAP_FILE
from matcher.registry import weights_files
from pipeline.errors import PermanentError
from pipeline.files import digest_file, write_json
from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, output, propagated
from raster.grid import Grid
from raster.manual.verdict import PointLimits
from stages.align.georeference import align_by_georeference
from stages.align.limits import Limits
from stages.matchers import MatcherName
from stages.rasters import PLACED, SIDES, open_pair
from stages.tiepoints import SUFFIXES

_SECONDS_A_PAIR, _SECONDS_A_PIXEL = {"georeference": 0.01, "structure": 10.0}, {"georeference": 0.0, "structure": 6e-7}
"""As measured on synthetic sites: by structure 176 to 210 s at 20,000 x 15,000 px, where the first initial hypothesis
is right; 35 to 37 s where none is."""


class AlignParams(BaseModel):
    """How map and visible raster are brought together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["georeference", "structure"] = Field(
        "structure",
        description="`georeference`: trust the CRS and geotransform of both rasters, measure nothing. "
        "`structure`: start there, find what the rasters themselves and manual tie points say, and judge it.",
    )
    matcher: MatcherName = Field(
        "cfog",
        description="Name of the matcher that finds the first initial hypothesis, for `method: structure`; the "
        "correlation `cfog` finds the others.",
    )
    limits: Limits = Field(default=Limits(), description="Limits of the acceptance tests, for `method: structure`.")
    manual: PointLimits = Field(
        default_factory=PointLimits,
        description="What manual tie points must fulfil to carry a pair that the windows cannot, for "
        "`method: structure`.",
    )


class AlignStage(Stage[AlignParams]):
    """Align each raster pair; a unit is a site, such as `001/1`."""

    name: ClassVar[str] = "align"
    version: ClassVar[int] = 13
    Params: ClassVar[type[BaseModel]] = AlignParams
    reads: ClassVar[tuple[str, ...]] = ("acquire",)
    roles: ClassVar[tuple[str, ...]] = SIDES

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return a unit for every site of which a side was acquired or found to be without data."""
        acquired = run.read("acquire")
        units = []
        for name in dict.fromkeys(name.rpartition("/")[0] for name in acquired):
            results = [acquired.get(f"{name}/{side}") for side in SIDES]
            missing = [
                side
                for side, result in zip(SIDES, results, strict=True)
                if result is None or result.outcome is not Outcome.DONE
            ]
            present = {
                side: {key: result.data[key] for key in PLACED}
                for side, result in zip(SIDES, results, strict=True)
                if result is not None and side not in missing
            }
            points = tiepoint_files(run.workspace, name) if self.params.method == "structure" else []
            files = [*points, *self._weights()] if self.params.method == "structure" else []
            inputs = [data["digest"] for data in present.values()] + [digest_file(path) for path in files]
            named = [path.relative_to(run.workspace).as_posix() for path in points]
            payload = {"name": name, "missing": missing, "rasters": present, "tiepoints": named}
            weight = sum(data["width"] * data["height"] for data in present.values()) / 1e6
            units.append(self.unit(name, payload, inputs, weight=max(weight, 1.0)))
        return units

    def _weights(self) -> list[Path]:
        """Return the weights that an alignment depends on: of the feature map of the ground, and of the matcher."""
        learned = [FEATURE_MAP_FILE] if self.params.limits.windows.features == "mapglue" else []
        return list(dict.fromkeys([*learned, *weights_files(self.params.matcher)]))

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return a unit a raster pair, its seconds by method and size; evidence takes next to no space."""
        amounts = propagated(before, "acquire")
        if not amounts.get("raster_pairs"):
            return None
        pairs, method = amounts["raster_pairs"], self.params.method
        seconds = pairs * _SECONDS_A_PAIR[method] + amounts["pixels"] * _SECONDS_A_PIXEL[method]
        return Estimate(round(pairs), seconds=seconds, propagated=amounts)

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Align one pair. Raises PermanentError if its rasters or tie points cannot be read, or do not overlap."""
        name = unit.payload["name"]
        if unit.payload["missing"]:
            return Result(outcome=Outcome.NO_DATA, reason=f"no {' and no '.join(unit.payload['missing'])} raster")
        try:
            return self._by_structure(unit, workspace) if self.params.method == "structure" else _trust(unit, workspace)
        except PermanentError as error:
            raise PermanentError(f"site {name}: {error}") from error

    def _by_structure(self, unit: Unit, workspace: Path) -> Result:
        from stages.align.evidence import summary, write_evidence  # torch and its kin: only where they are needed
        from stages.align.pair import align_pair
        from stages.align.resume import resumable
        from stages.align.threads import one_thread
        from stages.tiepoints import read_site_tiepoints

        paths = [workspace / unit.payload["rasters"][side]["path"] for side in SIDES]
        with open_pair(*paths) as pair:
            files = [workspace / path for path in unit.payload["tiepoints"]]
            points = read_site_tiepoints(files, pair.visible.located, pair.map.located)
            folder = workspace / "alignment" / unit.payload["name"]
            with one_thread(), resumable(folder / "measured", unit.key):
                evidence = align_pair(pair, points, self.params.matcher, self.params.limits, self.params.manual)
                written = write_evidence(folder, evidence, pair)
        alignment = evidence.alignment
        outcome = Outcome.DONE if alignment.verdict == "accepted" else Outcome.REJECTED
        return Result(tuple(output(workspace, path) for path in written), summary(evidence), outcome, alignment.reason)


def tiepoint_files(workspace: Path, name: str) -> list[Path]:
    """Return the files of manual tie points of a site, ordered by suffix.

    Args:
        workspace: Folder of the run; the files lie in its `tiepoints/`.
        name: Site, such as "001/1", which is also the file's name without suffix below that folder.

    Returns:
        The files that exist, at most one for each of `SUFFIXES`; empty where nobody has marked points.
    """
    base = workspace / "tiepoints" / name
    return [path for suffix in sorted(SUFFIXES) if (path := base.with_name(base.name + suffix)).is_file()]


def _trust(unit: Unit, workspace: Path) -> Result:
    alignment = align_by_georeference(*(Grid.from_json(unit.payload["rasters"][side]) for side in SIDES))
    path = workspace / "alignment" / unit.payload["name"] / "alignment.json"
    write_json(path, alignment.to_json())
    outcome = Outcome.DONE if alignment.verdict == "accepted" else Outcome.REJECTED
    return Result((output(workspace, path),), alignment.to_json(), outcome, alignment.reason)
