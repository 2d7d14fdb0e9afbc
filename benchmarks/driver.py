"""What the driver of a full-size run costs: 699 sites, their raster pairs and some 121,781 pairs of tiles.

    python benchmarks/driver.py --json

The stages, their plans, the ledger and the engine are the real ones; sites are drawn over the globe as
`configs/mapdata-233.yaml` asks. What workers would do is made up: results of real size, with regions of alignments and
two files a pair, which lie in the workspace as empty files of their size. Memory is the peak of this process; seconds
are those of the driver, with those in which results are made up, but without the drawing of sites.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import tempfile
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _machine import report

from mapdata.outcomes import PROGRAM
from mapdata.recipes import load_recipe
from pipeline.attempt import Attempt
from pipeline.executors import Executor
from pipeline.ledger import Ledger
from pipeline.planning import StagePlan
from pipeline.progress import PlainReporter
from pipeline.report import status_json
from pipeline.retry import RetryPolicy
from pipeline.runner import Runner
from pipeline.stage import Output, Result, Stage, Unit
from pipeline.workspace import Workspace

REGION = 1024
FORMAT_BYTES = 400_000
_RNG = np.random.default_rng(0)


def made(root: Path, path: str, size: int) -> Output:
    """Put an empty file of a size into the workspace, and return it as an output."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.truncate(size)
    return Output(path, size, _RNG.bytes(32).hex(), target.stat().st_mtime_ns)


def acquired(root: Path, unit: Unit) -> Result:
    """Return the raster of a side of a site."""
    row = unit.payload
    raster = made(
        root, f"rasters/{row['point_id']}/{row['site_id']}/{row['side']}.tif", 3 * row["width"] * row["height"] // 2
    )
    place = {"crs": "EPSG:3857", "transform": [0.6, 0.0, 1e6, 0.0, -0.6, 6e6]}
    facts = {"path": raster.path, "digest": raster.digest, "nodata_share": 0.0, "date": "2024"}
    return Result((raster,), facts | place | {"width": row["width"], "height": row["height"]})


def aligned(root: Path, unit: Unit) -> Result:
    """Return an alignment that is accepted, judged by regions."""
    visible = unit.payload["rasters"]["visible"]
    regions = [
        {
            "bounds": [x, y, min(x + REGION, visible["width"]), min(y + REGION, visible["height"])],
            "accepted": True,
            "reason": "",
            "predicted_px": float(_RNG.uniform(1, 3)),
            "inliers": int(_RNG.integers(20, 90)),
            "agreement": float(_RNG.uniform()),
            "residual_px": float(_RNG.uniform()),
            "method": "ground",
            "homography": None,
        }
        for y in range(0, visible["height"], REGION)
        for x in range(0, visible["width"], REGION)
    ]
    data = {"homography": np.eye(3).tolist(), "residual_px": 0.9, "inliers": 2000, "method": "structure"}
    said = {"verdict": "accepted", "reason": "", "patches": [], "regions": regions, "windows": 2400}
    folder = f"alignment/{unit.name}"
    sizes = {"alignment.json": 400 * len(regions), "alignment.jpg": 2_000_000, "tiepoints.parquet": 200_000}
    return Result(tuple(made(root, f"{folder}/{name}", size) for name, size in sizes.items()), data | said)


def cut(root: Path, unit: Unit) -> Result:
    """Return the pairs of a batch of rows of tiles."""
    asked = unit.payload
    folder = f"tiles/{asked['name']}"
    stem = asked["name"].replace("/", "_")
    pairs = [
        f"{stem}_{asked['first'] + row:04d}_{column:04d}"
        for row in range(asked["rows"])
        for column in range(asked["columns"])
    ]
    files = [made(root, f"{folder}/{side}/{pair}.png", FORMAT_BYTES) for pair in pairs for side in ("map", "visible")]
    table = made(root, f"{folder}/rows-{asked['first']:04d}.parquet", 300 * len(pairs))
    return Result((table, *files), {"pairs": len(pairs), "empty": 0})


class MakingUp(Executor):
    """Does the small stages that the rest depends on for real, and makes the others up."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._due: deque[tuple[Stage[Any], Unit]] = deque()
        self.pairs = 0
        self.sampling_s = 0.0

    def capacity(self) -> int:
        """Return a number of units in flight as of 64 workers."""
        return 128

    def submit(self, stage: Stage[Any], unit: Unit) -> None:
        """Take a unit."""
        self._due.append((stage, unit))

    def ended(self, timeout: float) -> list[tuple[Unit, Attempt]]:
        """Return all units that were taken, as done."""
        ended = [(unit, Attempt(self._do(stage, unit), "tcp://10.0.0.1:40000")) for stage, unit in self._due]
        self._due.clear()
        return ended

    def _do(self, stage: Stage[Any], unit: Unit) -> Result:
        if stage.name == "sample":  # as a worker does it: its memory is not the driver's
            started = time.perf_counter()
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                result = pool.submit(stage.run, unit, self._root).result()
            self.sampling_s = time.perf_counter() - started
            return result
        if stage.name == "review":
            return stage.run(unit, self._root)
        if stage.name in ("clean", "split", "release"):
            return Result((made(self._root, f"{stage.name}/{unit.name}.parquet", 10**6),), {"said": "made up"})
        result = {"acquire": acquired, "align": aligned, "tile": cut}[stage.name](self._root, unit)
        self.pairs += result.data.get("pairs", 0)
        return result


class Counting(PlainReporter):
    """Prints nothing and counts the units of all stages."""

    units = 0

    def note(self, text: str) -> None:
        """Print nothing: figures are printed at the end."""

    def stage_begins(self, stage: str, plan: StagePlan) -> None:
        """Count a stage's units."""
        super().stage_begins(stage, plan)
        self.units += len(plan.units)


def measure(config: Path, root: Path) -> dict[str, Any]:
    """Run and resume; return the figures."""
    loaded = load_recipe(config)
    workspace = Workspace(root, create=True)
    figures: dict[str, Any] = {}
    for name in ("run", "resume"):
        executor, reporter = MakingUp(root), Counting()
        started = time.perf_counter()
        with workspace.lock("a benchmark"), Ledger(workspace.ledger) as ledger:
            Runner(workspace, ledger, executor, reporter, RetryPolicy()).run(loaded.stages, loaded.seed, ())
        figures[f"{name}_s"] = round(time.perf_counter() - started - executor.sampling_s, 1)
        figures[f"{name}_peak_memory_mib"] = math.ceil(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        if name == "run":
            figures |= {"pairs": executor.pairs, "units": reporter.units}
    with Ledger(workspace.ledger, read_only=True) as ledger:
        started = time.perf_counter()
        status_json(workspace, ledger, PROGRAM)
        figures["status_s"] = round(time.perf_counter() - started, 2)
    figures["ledger_mib"] = round(workspace.ledger.stat().st_size / 2**20, 1)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--points", type=int, default=233, help="sampling points, of three sites each (233)")
    parser.add_argument("--stride", type=int, default=896, help="of tiles, px (896: about 121,781 pairs)")
    arguments = parser.parse_args()
    simulated = {
        "kind": "tiles",
        "url": "https://example.org/{z}/{x}/{y}.png",
        "source": "made up",
        "licence": "CC0-1.0",
    }
    simulated |= {"attribution": "nobody"}
    globe = {"points": arguments.points, "spacing_km": 100, "gsd": 0.6, "width": [7000, 20000], "height": [5000, 15000]}
    stages = {
        "sample": {"globe": globe},
        "acquire": {"map": simulated, "visible": simulated},
        "tile": {"stride": arguments.stride},
    }
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "full.yaml"
        config.write_text(yaml.safe_dump({"name": "full", "seed": 233, "stages": stages}))
        figures = measure(config, Path(folder) / "workspace")
    workload = {"points": arguments.points, "sites": 3 * arguments.points, "stride_px": arguments.stride}
    report("driver", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
