"""Stage `leaderboard`: the rows of `benchmark` -> `benchmark/results.json`, `leaderboard.md` and `report.html`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from matcher.benchmark.measured import first_of_each
from matcher.benchmark.readers import PairSpec, open_pairs
from matcher.benchmark.report import write_report
from matcher.benchmark.rows import ROWS
from matcher.benchmark.summary import summarise
from matcher.errors import MatcherError
from pipeline.errors import ConfigError, PermanentError
from pipeline.stage import Result, RunView, Stage, Unit, output
from stages.benchmark import FOLDER, levels_of
from stages.tables import read_tables

FILES = ("results.json", "leaderboard.md", "report.html")


class LeaderboardParams(BaseModel):
    """The report of a benchmark has no parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LeaderboardStage(Stage[LeaderboardParams]):
    """Write the report of a benchmark: one unit, `report`; none where nothing was benchmarked."""

    name: ClassVar[str] = "leaderboard"
    version: ClassVar[int] = 4
    Params: ClassVar[type[BaseModel]] = LeaderboardParams
    reads: ClassVar[tuple[str, ...]] = ("benchmark",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit, or none."""
        results = list(run.read("benchmark").values())
        if not results:
            return []
        payload = {
            "tables": [entry.path for result in results for entry in result.outputs],
            "pairs": results[0].data["pairs"],
            "levels_file": results[0].data["levels_file"],
            "made": {
                name: sorted({result.data[fact] for result in results})
                for name, fact in (("hardware", "hardware"), ("commits", "commit"), ("days", "day"))
            },
        }
        return [self.unit("report", payload, [entry.digest for result in results for entry in result.outputs])]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Write the report. Raises PermanentError if the rows, the levels or the pairs to draw cannot be read."""
        payload = unit.payload
        rows = first_of_each(read_tables([workspace / path for path in payload["tables"]], ROWS))
        spec = PairSpec(**payload["pairs"])
        try:
            levels = levels_of(Path(payload["levels_file"]) if payload["levels_file"] else None)
        except ConfigError as error:
            raise PermanentError(str(error)) from error
        results = summarise(rows, spec, levels, {**payload["made"], "mapdata": version("mapdata")})
        try:
            write_report(workspace / FOLDER, results, rows, open_pairs(spec), levels)
        except MatcherError as error:
            raise PermanentError(str(error)) from error
        return Result(tuple(output(workspace, workspace / FOLDER / name) for name in FILES))
