"""How far alignments are from the truth, for pairs whose map was displaced by a known transform (`simulated-map`).

Inputs: `rasters/<point>/<site>/truth.json`, the rasters' grids and `alignment/<point>/<site>/alignment.json`. The error
at a pixel of the visible image is the distance, in visible pixels, between it and where the alignment puts what the map
shows of it; the local warp of the map counts as error where the alignment does not follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cartography.misregistration import Misregistration
from pipeline.errors import PermanentError
from pipeline.files import read_json, write_json
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

    `before_px` is the root mean square error of the georeference alone, which the alignment starts from. Of the
    `pairs` that would be cut from the site, `accepted` lie in accepted regions: `corners_px` are the errors at the four
    corners of each of these, `predicted_px` the predicted bounds of their largest (None: not measured).
    """

    site: str
    method: str
    verdict: str
    before_px: float
    rms_px: float
    largest_px: float
    pairs: int
    accepted: int
    corners_px: list[float]
    predicted_px: list[float | None]


def true_errors(workspace: Path) -> list[SiteError]:
    """Return the errors of every aligned site with known truth, by site.

    Args:
        workspace: Folder of a run whose map side is simulated.

    Raises:
        PermanentError: No site has known truth and an alignment.
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
    """Sum up the errors of accepted sites and pairs.

    Args:
        errors: Of each site.

    Returns:
        The sites; over those accepted, the median and the largest root mean square error; over the accepted pairs,
        their number, the median, the 95th percentile and the largest of the errors at corners, and the share whose
        largest error is below the predicted 95% bound.
    """
    accepted = [error.rms_px for error in errors if error.verdict == "accepted"]
    corners = np.array([distance for error in errors for distance in error.corners_px])
    bounds = [bound for error in errors for bound in error.predicted_px]
    largest = corners.reshape(-1, 4).max(axis=1)
    measured = [(worst, bound) for worst, bound in zip(largest, bounds, strict=True) if bound is not None]
    return {
        "sites": [asdict(error) for error in errors],
        "accepted": len(accepted),
        "pairs": sum(error.pairs for error in errors),
        "accepted_pairs": len(largest),
        "median_before_px": float(np.median([error.before_px for error in errors])),
        "median_rms_px": float(np.median(accepted)) if accepted else None,
        "worst_rms_px": max(accepted, default=None),
        "corners_median_px": float(np.median(corners)) if len(corners) else None,
        "corners_p95_px": float(np.percentile(corners, 95)) if len(corners) else None,
        "corners_worst_px": float(corners.max()) if len(corners) else None,
        "below_predicted": float(np.mean([worst <= bound for worst, bound in measured])) if measured else None,
    }


def write_report(workspace: Path, errors: Sequence[SiteError]) -> Path:
    """Write the summary of true errors to the workspace, atomically.

    Args:
        workspace: Folder of the run.
        errors: Of each site, as `true_errors` returns them.

    Returns:
        The file, `REPORT` in the workspace.
    """
    path = workspace / REPORT
    write_json(path, summary(errors))
    return path


def _alignment_file(workspace: Path, rasters: Path) -> Path:
    return workspace / "alignment" / rasters.relative_to(workspace / "rasters") / "alignment.json"


def _site_error(workspace: Path, rasters: Path) -> SiteError:
    truth = read_truth(rasters / TRUTH_FILE)
    alignment = read_json(_alignment_file(workspace, rasters), Alignment.from_json)
    with open_pair(rasters / "map.tif", rasters / "visible.tif") as pair:
        grids = pair.map.grid, pair.visible.grid
    width, height = grids[1].width, grids[1].height
    spans = np.linspace(0, width - 1, _LATTICE), np.linspace(0, height - 1, _LATTICE)
    visible, on_map = _covered(_lattice(*spans), truth, grids[0])
    errors = _distances(alignment, visible, on_map)
    pairs, corners, predicted = _pairs(alignment, truth, *grids)
    before = np.linalg.norm(project(on_map, *grids) - visible, axis=1)
    return SiteError(
        rasters.relative_to(workspace / "rasters").as_posix(),
        alignment.method,
        alignment.verdict,
        _rms(before),
        _rms(errors),
        round(float(errors.max()), 3),
        pairs,
        len(predicted),
        np.round(corners, 3).tolist(),
        predicted,
    )


def _pairs(
    alignment: Alignment, truth: Misregistration, map_grid: Grid, visible_grid: Grid
) -> tuple[int, list[float], list[float | None]]:
    """Return how many pairs of `PAIR_PX` the map covers, and of those in accepted regions the errors at the corners,
    under the transform that a pair is cut by, and the predicted bound of the largest."""
    count, errors, bounds = 0, list[float](), list[float | None]()
    last = PAIR_PX - 1.0
    for y in range(0, visible_grid.height - PAIR_PX + 1, PAIR_PX):
        for x in range(0, visible_grid.width - PAIR_PX + 1, PAIR_PX):
            corners = np.array([[x, y], [x + last, y], [x + last, y + last], [x, y + last]])
            visible, on_map = _covered(corners, truth, map_grid)
            count += len(visible) == len(corners)
            if len(visible) < len(corners) or alignment.verdict != "accepted" or not alignment.accepts(corners):
                continue
            homography = alignment.at(x + last / 2, y + last / 2).homography
            errors += np.linalg.norm(apply_homography(homography, on_map) - corners, axis=1).tolist()
            bounds.append(alignment.predicted_px(corners))
    return count, errors, bounds


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
