"""The evidence of an alignment: every tie point ever considered, the summary, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.files import write_json
from raster.homography import FloatArray, apply_homography
from raster.manual.verdict import PointCheck, PointVerdict
from raster.pair import RasterPair
from raster.reader import RasterReader
from stages.align.fine import Windows
from stages.align.pair import Evidence
from stages.align.picture import write_picture
from stages.align.result import Alignment, Region
from stages.align.verdict import Check
from stages.tables import write_table
from stages.tiepoints import arrays

TIE_POINTS = pa.schema(
    [
        ("name", pa.string()),
        ("origin", pa.string()),  # manual | automatic
        ("step", pa.string()),  # manual, or the pass of windows: rough, ground, whole map, perturbed restart, last
        ("operator", pa.string()),  # person, or matcher and its version
        ("date", pa.string()),  # of a manual point
        ("map_x", pa.float64()),  # full-resolution pixels, (0, 0) the centre of the top-left pixel
        ("map_y", pa.float64()),
        ("visible_x", pa.float64()),
        ("visible_y", pa.float64()),
        ("east", pa.float64()),  # the visible point in the visible raster's CRS; null without one
        ("north", pa.float64()),
        ("crs", pa.string()),
        ("residual_x", pa.float64()),  # point minus where the homography puts it, visible px
        ("residual_y", pa.float64()),
        ("residual_m", pa.float64()),  # length of the residual in metres; null without a CRS
        ("score", pa.float64()),  # correlation at the peak
        ("peak_margin", pa.float64()),  # of the peak over the second-highest one
        ("forward_backward_px", pa.float64()),  # pixels of the pass; null where the peak margin is too small
        ("region", pa.int32()),  # row of `regions.parquet` that holds the visible point; null without regions
        ("passes_peak_margin", pa.bool_()),  # one column a test
        ("passes_forward_backward", pa.bool_()),
        ("passes_search_border", pa.bool_()),
        ("passes_model", pa.bool_()),  # agrees with the fit, before remaining building lean is added to it
        ("used", pa.bool_()),
    ]
)
"""`alignment.parquet`: one row a tie point, manual ones first. A test that does not apply is null."""


REGIONS = pa.schema(
    [
        ("left", pa.float64()),  # bounds, full-resolution visible pixels
        ("top", pa.float64()),
        ("right", pa.float64()),
        ("bottom", pa.float64()),
        ("verdict", pa.string()),  # accepted | refused
        ("reason", pa.string()),  # why it is refused; empty if accepted
        ("method", pa.string()),  # who speaks for it: ground | whole map | manual
        ("reliable_windows", pa.int32()),  # reliable tie points in and around it that agree
        ("agreement", pa.float64()),  # share of all tie points there that agree
        ("residual_px", pa.float64()),  # root mean square of the reliable ones that agree, visible px
        ("predicted_px", pa.float64()),  # bound that the error of 95% of places shall not exceed, visible px
    ]
)
"""`regions.parquet`: one row a region, row by row from the top left; none where the verdict is of the whole raster."""


def write_evidence(folder: Path, evidence: Evidence, pair: RasterPair) -> list[Path]:
    """Write alignment.json, alignment.parquet, regions.parquet and alignment.jpg into `folder`; return their paths.

    The same evidence gives the same bytes.

    Args:
        folder: The unit's folder; files of the same names are replaced.
        evidence: What is written; `alignment.parquet` holds the windows of all passes, also where it is refused.
        pair: The rasters of the picture. The CRS of the visible one gives the columns `east` and `north`.
    """
    paths = [folder / name for name in ("alignment.json", "alignment.parquet", "alignment.jpg", "regions.parquet")]
    write_json(paths[0], summary(evidence))
    write_table(paths[1], pa.Table.from_pylist(_rows(evidence, pair.visible), TIE_POINTS), TIE_POINTS)
    write_picture(paths[2], evidence, pair)
    write_table(paths[3], [_region_row(region) for region in evidence.alignment.regions], REGIONS)
    return paths


def summary(evidence: Evidence) -> dict[str, Any]:
    """Return the content of alignment.json: the alignment, and what it was judged by."""
    local, fitted, manual = evidence.local, evidence.fitted, evidence.manual
    model = fitted.kind if fitted is not None else None
    if manual is not None and evidence.alignment.method == "manual":
        model = manual.model
    measured = local is not None and np.isfinite(local.generalisation_px)
    return evidence.alignment.to_json() | {
        "model": model,
        "windows": len(evidence.windows) if evidence.windows is not None else 0,
        "working_reduction": evidence.reduce,
        "misalignment_px": local.misalignment_px if measured and local else None,
        "generalisation_px": local.generalisation_px if measured and local else None,
        "checks": _checks(evidence.checks),
        "contradicting_points": [
            point.name for point, agrees in zip(evidence.points, evidence.agreeing, strict=True) if not agrees
        ],
        "manual": _manual(manual) if manual is not None else None,
    }


def _checks(checks: Sequence[Check | PointCheck]) -> dict[str, Any]:
    return {
        check.name: {
            "value": check.value if np.isfinite(check.value) else None,
            "limit": check.limit,
            "passed": bool(check.passed),
        }
        for check in checks
    }


def _manual(verdict: PointVerdict) -> dict[str, Any]:
    """Return what the manual points say alone."""
    place = verdict.place
    return {
        "accepted": verdict.accepted,
        "model": verdict.model,
        "corner_error_px": verdict.corner_error_px if np.isfinite(verdict.corner_error_px) else None,
        "checks": _checks(verdict.checks),
        "further_point": None if place is None else {"map": place.map_xy, "visible": place.visible_xy},
    }


def _region_row(region: Region) -> dict[str, Any]:
    left, top, right, bottom = region.bounds
    return {
        **{"left": left, "top": top, "right": right, "bottom": bottom},
        "verdict": "accepted" if region.accepted else "refused",
        "reliable_windows": region.inliers,
        **{name: getattr(region, name) for name in ("reason", "method", "agreement", "residual_px", "predicted_px")},
    }


def _rows(evidence: Evidence, visible: RasterReader) -> list[dict[str, Any]]:
    homography = evidence.alignment.transform.homography
    rows = _manual_rows(evidence, homography)
    for other in evidence.others:
        rows += _window_rows(other.step, other.windows, other.reduce, evidence, False)
    if evidence.windows is not None:
        rows += _window_rows("last", evidence.windows, evidence.reduce, evidence, evidence.alignment.method != "manual")
    _place_in_regions(rows, evidence.alignment)
    if visible.located is not None and rows:
        _place_on_ground(rows, visible)
    return rows


def _window_rows(step: str, windows: Windows, reduce: int, evidence: Evidence, used: bool) -> list[dict[str, Any]]:
    """Return the rows of a pass; `used`: whether it is the one that the homography was fitted to."""
    homography = evidence.alignment.transform.homography
    operator = f"{evidence.alignment.method} {version('mapdata')}"
    residuals = windows.found - apply_homography(homography, windows.source)
    agrees = np.linalg.norm(residuals, axis=1) <= evidence.limits.tolerance_px * reduce
    if used and len(evidence.window_agreeing):
        agrees = evidence.window_agreeing
    limits, rows = evidence.limits.windows, []
    for i in range(len(windows)):
        name = f"{step} {i:05d}"
        row = _common(name, "automatic", step, operator, windows.source[i], windows.found[i], residuals[i])
        error = windows.forward_backward[i]
        distinct = bool(windows.peak_margins[i] >= limits.min_peak_margin)
        consistent = bool(error <= limits.max_forward_backward_px)
        inside = bool(windows.inside[i])
        rows.append(
            row
            | {
                "score": windows.scores[i],
                "peak_margin": windows.peak_margins[i],
                "forward_backward_px": error if np.isfinite(error) else None,
                "passes_peak_margin": distinct,
                "passes_forward_backward": consistent,
                "passes_search_border": inside,
                "passes_model": bool(agrees[i]),
                "used": bool(used and agrees[i] and distinct and consistent and inside),
            }
        )
    return rows


def _manual_rows(evidence: Evidence, homography: FloatArray) -> list[dict[str, Any]]:
    source, target = arrays(evidence.points)
    rows = []
    for i, point in enumerate(evidence.points):
        residual = target[i] - apply_homography(homography, source[i : i + 1])[0]
        row = _common(point.name, "manual", "manual", point.operator, source[i], target[i], residual)
        agrees = bool(evidence.agreeing[i])
        rows.append(row | {"date": point.date, "passes_model": agrees, "used": agrees})
    return rows


def _common(
    name: str, origin: str, step: str, operator: str, source: FloatArray, target: FloatArray, residual: FloatArray
) -> dict[str, Any]:
    return {
        "name": name,
        "origin": origin,
        "step": step,
        "operator": operator,
        "map_x": source[0],
        "map_y": source[1],
        "visible_x": target[0],
        "visible_y": target[1],
        "residual_x": residual[0],
        "residual_y": residual[1],
    }


def _place_in_regions(rows: list[dict[str, Any]], alignment: Alignment) -> None:
    if not alignment.regions:
        return
    number = {region.bounds: index for index, region in enumerate(alignment.regions)}
    for row in rows:
        region = alignment.region_at(row["visible_x"], row["visible_y"])
        row["region"] = None if region is None else number[region.bounds]


def _place_on_ground(rows: list[dict[str, Any]], visible: RasterReader) -> None:
    grid = visible.located
    assert grid is not None
    ground = grid.to_world([[row["visible_x"], row["visible_y"]] for row in rows])
    for row, (east, north) in zip(rows, ground.tolist(), strict=True):
        metres = float(np.hypot(row["residual_x"], row["residual_y"])) * grid.gsd
        row.update(east=east, north=north, crs=grid.crs, residual_m=metres)
