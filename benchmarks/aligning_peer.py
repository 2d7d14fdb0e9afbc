"""Alignment beside AROSICS (Scheffler et al., 2017) where both apply: a map whose georeference is off by a small shift.

    python benchmarks/aligning_peer.py --json

Needs ../shared/data beside the checkout and, for the peer, `pip install arosics`, which needs GDAL's Python bindings.
A real map of zoom 16 is shifted by up to 10 px along each axis against the image of the same zoom; the error is the
distance between the shift that was made and the one that is found, in pixels of zoom 16, both services' georeferences
taken as true. AROSICS aligns by phase correlation, here in one window of 512 px; what it reports as failed counts as
not found. To show that it is used rightly, both also get the image shifted against itself (`..._on_itself`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _machine import report
from affine import Affine
from alignment import IMAGE, MAP, PIXEL, SHARED, assemble, placed, saved

from raster.homography import apply_homography
from stages.align.pair import align_pair
from stages.rasters import open_pair

REACH_PX = 10.0
SEARCH_PX = 25
ZOOM = 16

Shift = np.ndarray
"""(2,): metres east and north by which a map must be moved."""


def ours(visible: Path, chart: Path) -> Shift | None:
    """Return the shift of the image's centre that `align_pair` finds, None if it does not accept it."""
    with open_pair(chart, visible, siblings=True) as pair:
        alignment = align_pair(pair).alignment
        grids = pair.map.grid, pair.visible.grid
    if alignment.verdict != "accepted" or grids[0] is None or grids[1] is None:
        return None
    there = np.array([[grids[1].width / 2, grids[1].height / 2]], np.float64)
    on_map = apply_homography(np.linalg.inv(alignment.transform.homography), there)
    return np.asarray((grids[1].to_world(there) - grids[0].to_world(on_map))[0])


def by_arosics(visible: Path, chart: Path) -> Shift | None:
    """Return what `arosics.COREG` finds."""
    from arosics import COREG

    found = COREG(str(visible), str(chart), ws=(512, 512), max_shift=SEARCH_PX, q=True, ignore_errors=True, CPUs=1)
    found.calculate_spatial_shifts()
    if not found.success:
        return None
    shifts = found.coreg_info["corrected_shifts_map"]
    return np.array([shifts["x"], shifts["y"]])


def measured(work: Callable[[Path, Path], Shift | None], visible: Path, chart: Path) -> tuple[Shift | None, float]:
    """Return the shift and the processor seconds it took; nothing is printed."""
    begin = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = work(visible, chart)
    return found, time.process_time() - begin


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cases", type=int, default=8)
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.error("real data is absent: no ../shared/data beside the project")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    works: dict[str, Callable[[Path, Path], Shift | None]] = {"ours": ours}
    figures: dict[str, Any] = {}
    try:
        import arosics

        works["arosics"] = by_arosics
        figures["arosics_version"] = arosics.__version__
    except ImportError as error:
        figures["arosics_version"] = f"not measured: {error}"
    runs = [(method, of) for method in works for of in ("", "_on_itself")]
    errors: dict[str, list[float]] = {method + of: [] for method, of in runs}
    seconds: dict[str, list[float]] = {method + of: [] for method, of in runs}
    generator = np.random.default_rng(11)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        visible = saved(folder / "visible.tif", assemble("swissimage", ZOOM, IMAGE[ZOOM]), placed(ZOOM, 34512, 23054))
        drawn = {"": assemble("lk25", ZOOM, MAP), "_on_itself": assemble("swissimage", ZOOM, MAP)}
        for _ in range(options.cases):
            made = generator.uniform(-REACH_PX, REACH_PX, 2) * PIXEL
            there = Affine.translation(*made) @ placed(ZOOM, MAP[0], MAP[2])
            for method, of in runs:
                found, spent = measured(works[method], visible, saved(folder / "map.tif", drawn[of], there))
                seconds[method + of].append(spent)
                if found is not None:
                    errors[method + of].append(float(np.linalg.norm(found + made)) / PIXEL)
    for name, found_px in errors.items():
        figures[f"{name}_found"] = len(found_px)
        figures[f"{name}_median_px"] = float(np.median(found_px)) if found_px else None
        figures[f"{name}_largest_px"] = max(found_px, default=None)
        figures[f"{name}_cpu_s"] = float(np.median(seconds[name]))
    report("aligning_peer", {"zoom": ZOOM, "cases": options.cases}, figures, as_json=options.json)


if __name__ == "__main__":
    main()
