"""What the engine itself costs at full size: planning, running, resuming, status, for units that do almost nothing.

`python benchmarks/engine.py [--units 121781] [--workers 2] [--json]`. 121,781 is the number of pairs of the full-size
dataset; in a real run a unit is a batch of them. Memory is the peak of this process (the driver).
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from _machine import report
from pydantic import BaseModel, Field

from pipeline.files import digest_bytes, write_bytes
from pipeline.forecast import forecast
from pipeline.ledger import Ledger
from pipeline.report import Program, status_json
from pipeline.run import Request, run
from pipeline.stage import Output, Result, RunView, Stage, Unit
from pipeline.workspace import Workspace

T = TypeVar("T")
PAIRS = 121_781
CLUSTER_UNITS = 3_000


class CountParams(BaseModel):
    """How many units."""

    units: int = Field(PAIRS, description="Units of the stage.")


class WriteStage(Stage[CountParams]):
    """Writes one small file a unit, and returns a row's worth of data."""

    name, version, Params = "write", 1, CountParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        return [self.unit(f"{index:06d}", {"seed": run.seed}) for index in range(self.params.units)]

    def run(self, unit: Unit, workspace: Path) -> Result:
        path = f"files/{unit.name[:3]}/{unit.name}"
        data = unit.key.encode()
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        # Not synced: this measures the engine, not the disk.
        (workspace / path).write_bytes(data)
        facts = {"transform": [0.5, 0.0, 1.0, 0.0, -0.5, 2.0], "homography": [1.0] * 9, "source": "https://example.org"}
        return Result((Output(path, len(data), digest_bytes(data)),), facts)


class GatherStage(Stage[CountParams]):
    """One unit that depends on all the others."""

    name, version, Params, reads = "gather", 1, CountParams, ("write",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        entries = [entry for result in run.read("write").values() for entry in result.outputs]
        return [self.unit("all", {"files": len(entries)}, [entry.digest for entry in entries])]

    def run(self, unit: Unit, workspace: Path) -> Result:
        path = workspace / "gathered"
        data = str(unit.payload["files"]).encode()
        write_bytes(path, data)
        return Result((Output("gathered", len(data), digest_bytes(data)),))


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Return how long an action takes, in seconds, and its result."""
    started = time.perf_counter()
    result = action()
    return round(time.perf_counter() - started, 3), result


def measure(units: int, workers: int, folder: Path) -> dict[str, Any]:
    """Run, resume and look at a recipe of `units` units in this process, then a smaller one on `workers` processes."""
    stages = [WriteStage(CountParams(units=units)), GatherStage(CountParams(units=units))]
    place = Workspace(folder / "inline", create=True)
    figures: dict[str, Any] = {}
    figures["run_seconds"], summary = timed(lambda: run(stages, place, Request({})))
    figures["microseconds_a_unit"] = round(figures["run_seconds"] / units * 1e6, 1)
    figures["resume_seconds"], _ = timed(lambda: run(stages, place, Request({})))
    figures["plan_seconds"], rows = timed(lambda: forecast(stages, 0, place.root))
    with Ledger(place.ledger, read_only=True) as ledger:
        figures["status_seconds"], _ = timed(lambda: status_json(place, ledger, Program("mapdata")))
    figures["ledger_mib"] = round(place.ledger.stat().st_size / 2**20, 1)
    figures["peak_memory_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    if summary.failures or rows[0]["finished"] != units:
        raise SystemExit("the run is not complete: no figures")

    few = min(units, CLUSTER_UNITS)
    small = [WriteStage(CountParams(units=few)), GatherStage(CountParams(units=few))]
    figures["cluster_units"] = few
    figures["cluster_run_seconds"], _ = timed(
        lambda: run(small, Workspace(folder / "cluster", create=True), Request({}, workers=workers))
    )
    figures["cluster_milliseconds_a_unit"] = round(figures["cluster_run_seconds"] / few * 1e3, 2)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=PAIRS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.units, arguments.workers, Path(folder))
    report("engine", {"units": arguments.units, "workers": arguments.workers}, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
