"""Alignment by region against the known truth of synthetic scenes: what is accepted, how exact it is, what it costs.

    python benchmarks/aligning_regions.py --json [--seeds 1 2 3] [--width 20000] [--height 15000]
        [--features mapglue cfog] [--foreign] [--keep DIR]

A site of the demo's configuration a seed, of the size asked for, is drawn and aligned by `mapdata run`. Figures are of
all pairs of 512 px: the share that lies in accepted regions, the errors at the corners of these (see
`stages.accuracy`), the share whose largest error is below the predicted 95% bound, and wall-clock seconds of the stage
`align` alone, in one process; the peak memory is that of the largest process that ran. Several features are compared on
the same rasters. With `--foreign`, the map of each seed is laid on the image of the next one instead, which must be
refused. `--keep` keeps the drawn rasters, and uses those that it holds.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rasterio
import yaml
from _machine import PROJECT, report

from stages.accuracy import summary, true_errors


def configured(seed: int, size: tuple[int, int], path: Path, features: str = "mapglue") -> Path:
    """Write the configuration of one site, whose windows are compared by some features, and return its path."""
    config = yaml.safe_load((PROJECT / "configs" / "demo.yaml").read_text())
    config["seed"] = seed
    stages = config["stages"]
    stages["sample"]["globe"] |= {"points": 1, "sites_per_point": 1, "width": [size[0]] * 2, "height": [size[1]] * 2}
    stages["align"] = {"limits": {"windows": {"features": features}}}
    for side in ("map", "visible"):
        stages["acquire"][side]["world"] = seed
    path.write_text(yaml.safe_dump(config))
    return path


def run(config: Path, workspace: Path, *stages: str) -> float:
    """Run stages in a process of its own and return its wall-clock seconds."""
    only = [part for stage in stages for part in ("--only", stage)]
    command = [sys.executable, "-m", "mapdata", "run", str(config), "--workspace", str(workspace), "--workers", "0"]
    begin = time.perf_counter()
    subprocess.run([*command, *only], check=True, stdout=sys.stderr)
    return time.perf_counter() - begin


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--width", type=int, default=20_000)
    parser.add_argument("--height", type=int, default=15_000)
    parser.add_argument("--features", nargs="+", default=["mapglue"], choices=["mapglue", "cfog"])
    parser.add_argument("--foreign", action="store_true", help="align negative pairs instead")
    parser.add_argument("--keep", type=Path, help="folder of the workspaces")
    options = parser.parse_args()
    if options.foreign and (len(options.seeds) < 2 or options.features != ["mapglue"]):
        parser.error("--foreign needs two seeds at least, and is measured with the default features")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for seed in options.seeds:
            config = configured(seed, (options.width, options.height), folder / f"seed-{seed}.yaml")
            run(config, folder / f"seed-{seed}", "sample", "acquire")
        if options.foreign:
            pairs = zip(options.seeds, [*options.seeds[1:], options.seeds[0]], strict=True)
            figures = {f"map {of}, image {image}": foreign(of, image, folder) for of, image in pairs}
        else:
            figures = {features: compared(features, options, folder) for features in options.features}
    figures["peak_memory_gib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    workload = {"seeds": options.seeds, "width_px": options.width, "height_px": options.height}
    report("aligning_foreign" if options.foreign else "aligning_regions", workload, figures, as_json=options.json)


def compared(features: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Align the site of every seed by some features and return the figures of each and of all."""
    figures: dict[str, Any] = {}
    errors = []
    for seed in options.seeds:
        config = configured(seed, (options.width, options.height), folder / f"seed-{seed}.yaml", features)
        workspace = folder / f"seed-{seed}"
        seconds = run(config, workspace, "align")
        (error,) = true_errors(workspace)
        errors.append(error)
        figures[f"seed_{seed}"] = {"verdict": error.verdict, "align_wall_s": seconds} | {
            key: value for key, value in summary([error]).items() if key not in ("sites", "accepted")
        }
    return figures | {key: value for key, value in summary(errors).items() if key != "sites"}


def foreign(of: int, image: int, folder: Path) -> dict[str, Any]:
    """Lay the map of a seed on the image of another one and return the verdict and wall-clock seconds."""
    chart, own, visible = (
        folder / f"seed-{seed}" / "rasters/001/1" / f"{side}.tif"
        for seed, side in ((of, "map"), (image, "map"), (image, "visible"))
    )
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        moved = Path(shutil.copy(chart, temporary))
        with rasterio.open(own) as placed, rasterio.open(moved, "r+") as dataset:
            dataset.crs, dataset.transform = placed.crs, placed.transform
        begin = time.perf_counter()
        command = [sys.executable, "-m", "mapdata", "align", str(moved), str(visible), "--out", temporary]
        subprocess.run(command, stdout=sys.stderr, check=False)
        seconds = time.perf_counter() - begin
        content = json.loads((Path(temporary) / "alignment.json").read_text())
    regions = sum(region["accepted"] for region in content["regions"])
    return {"verdict": content["verdict"], "regions_accepted": regions, "align_wall_s": seconds}


if __name__ == "__main__":
    main()
