"""How the time and memory of an alignment grow with the size of the rasters.

    python benchmarks/aligning_size.py --json

One simulated site a side length (a village, map and image of the same resolution), each drawn and aligned by a process
of its own; the times are processor seconds of the alignment alone. The exponent is that of area in the time from the
smallest side to the largest: 1 is linear, less than 1 is what a constant part (the coarse step) leaves of it.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import geopandas
import numpy as np
import shapely
import torch
from _machine import report

from stages.acquire.simulated import SimulatedImageSource, SimulatedMapSource
from stages.acquire.source import Site
from stages.align.pair import align_pair
from stages.rasters import open_pair, write_raster

GSD = 0.5
SIDES = (2048, 4096, 8192)


def one(side: int) -> str:
    """Draw and align a site; return "seconds GiB verdict", the memory being the alignment's process's peak."""
    reach = side * GSD / 2
    corners = shapely.box(500_000 - reach, 5_250_000 - reach, 500_000 + reach, 5_250_000 + reach)
    footprint = geopandas.GeoSeries([corners], crs="EPSG:32632").to_crs("EPSG:4326")
    site = Site("004", "3", shapely.box(*footprint.total_bounds), GSD, "village")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rasters" / site.name).mkdir(parents=True)
        for kind, source in (
            ("map", SimulatedMapSource(world=1, styles=("osm-carto",))),
            ("visible", SimulatedImageSource(world=1)),
        ):
            with source.open(site, folder) as strips:
                write_raster(folder / f"{kind}.tif", strips.grid, strips.pixels, {})
        begin = time.process_time()
        with open_pair(folder / "map.tif", folder / "visible.tif", siblings=True) as pair:
            verdict = align_pair(pair).alignment.verdict
        seconds = time.process_time() - begin
    return f"{seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20} {verdict}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        print(one(options.side))
        return
    figures: dict[str, Any] = {}
    seconds = []
    for side in SIDES:
        command = [sys.executable, __file__, "--side", str(side)]
        spent, memory, verdict = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        seconds.append(float(spent))
        figures |= {f"cpu_s_{side}": seconds[-1], f"peak_gib_{side}": float(memory), f"verdict_{side}": verdict}
    areas = 2 * np.log(np.array(SIDES) / SIDES[0])
    figures["exponent_of_area"] = math.log(seconds[-1] / seconds[0]) / float(areas[-1])
    report("aligning_size", {"sides_px": list(SIDES), "gsd_m": GSD}, figures, as_json=options.json)


if __name__ == "__main__":
    main()
