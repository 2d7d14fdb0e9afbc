"""How far alignments are from the truth, for pairs whose map was displaced by a known transform (`simulated-map`).

Inputs: `rasters/<point>/<site>/truth.json`, the rasters' grids and `alignment/<point>/<site>/alignment.json`. The error
at a pixel of the visible image is the distance, in visible pixels, between it and where the alignment puts what the map
shows of it; the local warp of the map counts as error where the alignment does not follow it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cartography.misregistration import Misregistration
from pipeline.errors import PermanentError
from pipeline.files import write_json
from raster.grid import Grid, project
from raster.homography import FloatArray, apply_homography
from raster.pixels import within
from stages.acquire.simulated import TRUTH_FILE, read_truth
from stages.align.result import Alignment
from stages.rasters import open_pair

REPORT = Path("alignment") / "true-errors.json"
_LATTICE = 41
PAIR_PX = 512
"""Side of the pairs whose corners are looked at."""


@dataclass(frozen=True)
class SiteError:
    """Errors of one site in visible pixels, over a lattice of points that the map covers: root mean square and largest.

    `before_px` is the root mean square error of the georeference alone, which the alignment starts from.
    `corners_px` are the errors at the corners of the pairs that would be cut from the site.
    """

    site: str
    method: str
    verdict: str
    before_px: float
    rms_px: float
    largest_px: float
    corners_px: list[float]


def true_errors(workspace: Path) -> list[SiteError]:
    """Return the errors of every aligned site with known truth, by site.

    Raises PermanentError if the workspace has none.
    """
    truths = sorted((workspace / "rasters").glob(f"*/*/{TRUTH_FILE}"))
    found = [_site_error(workspace, path.parent) for path in truths if _alignment_file(workspace, path.parent).exists()]
    if not found:
        raise PermanentError(
            f"{workspace}: no aligned pair with known truth; run a configuration whose map is `simulated-map`, "
            "such as configs/demo.yaml, at least as far as `align`"
        )
    return found


def summary(errors: Sequence[SiteError]) -> dict[str, Any]:
    """Return the sites and, over those accepted, the median and the largest root mean square error, and the median and
    the 95th percentile of the errors at the corners of pairs."""
    accepted = [error.rms_px for error in errors if error.verdict == "accepted"]
    corners = [distance for error in errors if error.verdict == "accepted" for distance in error.corners_px]
    return {
        "sites": [asdict(error) for error in errors],
        "accepted": len(accepted),
        "median_before_px": float(np.median([error.before_px for error in errors])),
        "median_rms_px": float(np.median(accepted)) if accepted else None,
        "worst_rms_px": max(accepted, default=None),
        "corners_median_px": float(np.median(corners)) if corners else None,
        "corners_p95_px": float(np.percentile(corners, 95)) if corners else None,
    }


def write_report(workspace: Path, errors: Sequence[SiteError]) -> Path:
    """Write the summary to the workspace and return the file."""
    path = workspace / REPORT
    write_json(path, summary(errors))
    return path


def _alignment_file(workspace: Path, rasters: Path) -> Path:
    return workspace / "alignment" / rasters.relative_to(workspace / "rasters") / "alignment.json"


def _site_error(workspace: Path, rasters: Path) -> SiteError:
    truth = read_truth(rasters / TRUTH_FILE)
    alignment = Alignment.from_json(json.loads(_alignment_file(workspace, rasters).read_text()))
    with open_pair(rasters / "map.tif", rasters / "visible.tif") as pair:
        grids = pair.map.grid, pair.visible.grid
    width, height = grids[1].width, grids[1].height
    spans = np.linspace(0, width - 1, _LATTICE), np.linspace(0, height - 1, _LATTICE)
    visible, on_map = _covered(_lattice(*spans), truth, grids[0])
    errors = _distances(alignment, visible, on_map)
    corners = _covered(_lattice(np.arange(0.0, width, PAIR_PX), np.arange(0.0, height, PAIR_PX)), truth, grids[0])
    before = np.linalg.norm(project(on_map, *grids) - visible, axis=1)
    return SiteError(
        rasters.relative_to(workspace / "rasters").as_posix(),
        alignment.method,
        alignment.verdict,
        _rms(before),
        _rms(errors),
        round(float(errors.max()), 3),
        np.round(_distances(alignment, *corners), 3).tolist(),
    )


def _covered(visible: FloatArray, truth: Misregistration, map_grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Return those visible pixels (N, 2) that the map shows, and where it does."""
    on_map = truth.to_map(visible)
    inside = within(on_map, map_grid.width, map_grid.height)
    return visible[inside], on_map[inside]


def _distances(alignment: Alignment, visible: FloatArray, on_map: FloatArray) -> FloatArray:
    aligned = [apply_homography(alignment.at(*v).homography, [p])[0] for v, p in zip(visible, on_map, strict=True)]
    return np.asarray(np.linalg.norm(np.reshape(aligned, (-1, 2)) - visible, axis=1))


def _lattice(xs: FloatArray, ys: FloatArray) -> FloatArray:
    x, y = np.meshgrid(xs, ys)
    return np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)


def _rms(distances: FloatArray) -> float:
    return round(float(np.sqrt((distances**2).mean())), 3)
