"""What a perfect homography would leave of the errors of synthetic sites, whose maps are bent locally.

    python benchmarks/aligning_bending.py --workspace work/demo --json > benchmarks/results/aligning_bending.json

To each site with known truth the homography that fits best is fitted by least squares, to the truth itself on a lattice
of 41 x 41 points. Figures are its errors at the corners of all pairs of 512 px, in visible pixels: `mapdata accuracy`
gives them for alignments.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from _machine import report

from raster.homography import FloatArray, apply_homography
from raster.least_squares import fit_homography
from raster.pixels import within
from stages.accuracy import PAIR_PX
from stages.acquire.simulated import TRUTH_FILE, read_truth
from stages.rasters import open_pair

LATTICE = 41


def left_over(rasters: Path) -> FloatArray:
    """Return the errors (N,) of a site's best homography at the corners of its pairs, visible px."""
    truth = read_truth(rasters / TRUTH_FILE)
    with open_pair(rasters / "map.tif", rasters / "visible.tif") as pair:
        size, on = (pair.visible.width, pair.visible.height), (pair.map.width, pair.map.height)

    def shown(visible: FloatArray) -> tuple[FloatArray, FloatArray]:
        chart = truth.to_map(visible)
        inside = within(chart, *on)
        return chart[inside], visible[inside]

    homography = fit_homography(*shown(grid(*(np.linspace(0, length - 1, LATTICE) for length in size))))
    starts = [np.arange(0, length - PAIR_PX + 1, PAIR_PX) for length in size]
    corners = grid(*(np.sort(np.concatenate([start, start + PAIR_PX - 1])) for start in starts))
    chart, visible = shown(corners)
    return np.asarray(np.linalg.norm(apply_homography(homography, chart) - visible, axis=1))


def grid(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the points (N, 2) of a grid."""
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float64)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("work/demo"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    sites = sorted(path.parent for path in (options.workspace / "rasters").glob(f"*/*/{TRUTH_FILE}"))
    errors = np.concatenate([left_over(site) for site in sites])
    median, most = np.percentile(errors, [50, 95])
    figures = {"corners": len(errors), "corners_median_px": median, "corners_p95_px": most}
    workload = {"workspace": options.workspace.name, "sites": len(sites)}
    report("aligning_bending", workload, figures, as_json=options.json)


if __name__ == "__main__":
    main()
