"""What tie points say while they are being placed: the fit, what is wrong with it, and where a point is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from raster.fit import MINIMAL_SAMPLE
from raster.homography import FloatArray, Matrix, apply_homography, inverse, normalised, translation
from raster.manual.models import fit_points
from raster.manual.posterior import posterior
from raster.manual.verdict import PointLimits, PointVerdict
from raster.pixels import outline
from review.sites import Site
from stages.align.manual import judge_manual
from stages.tiepoints import TiePoint, arrays

LATTICE = 9
"""The expected error is said at so many places along each side of the map."""


def fit_points_of(site: Site, points: Sequence[TiePoint], limits: PointLimits) -> dict[str, Any]:
    """Judge points by the very tests that decide whether they may carry the alignment.

    Args:
        site: Whose points they are.
        points: The points.
        limits: Of the tests.

    Returns:
        JSON-able: `accepted`, `reason`, `model`, `homography`, `rms_px`, `agreeing`, `corner_error_px`, `risk`,
        `checks`, `place` (where a further point would help most), a row a point in `points` (offset, residual,
        leave-one-out error, leverage, whether it agrees or contradicts), and `expected_px`, the error to be expected
        at a lattice of places of the map.
    """
    map_size, visible_size = site.sides["map"].size, site.sides["visible"].size
    verdict = judge_manual(points, map_size, visible_size, limits)
    source, target = arrays(points)
    agreeing = verdict.agreeing
    rms = float(np.sqrt(np.mean(verdict.residuals[agreeing] ** 2))) if agreeing.any() else None
    place = verdict.place
    return {
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "model": verdict.model,
        "homography": None if verdict.homography is None else verdict.homography.tolist(),
        "rms_px": rms,
        "agreeing": int(agreeing.sum()),
        "corner_error_px": _finite(verdict.corner_error_px),
        "risk": verdict.risk,
        "checks": [
            {
                "name": check.name,
                "value": _finite(check.value),
                "limit": check.limit,
                "passed": check.passed,
                "text": check.text,
            }
            for check in verdict.checks
        ],
        "place": None if place is None else {"map": place.map_xy, "visible": place.visible_xy},
        "points": _rows(points, verdict, source, target),
        "expected_px": _expected(verdict, source, target, map_size, limits),
    }


def start_of(site: Site, fit: dict[str, Any]) -> Matrix:
    """Return the best homography that is known, map -> visible: of the points, of the alignment, by georeference.

    Args:
        site: Its last alignment and its grids are used where the points give nothing.
        fit: As `fit_points_of` returns it.

    Returns:
        3x3, full-resolution pixels; the identity where nothing is known.
    """
    from raster.grid import georeferenced_homography

    if fit["homography"] is not None:
        return np.asarray(fit["homography"], np.float64)
    found = site.aligned.get("homography")
    if found is not None:
        return np.asarray(found, np.float64)
    try:
        return georeferenced_homography(site.sides["map"].grid, site.sides["visible"].grid)[0]
    except ValueError:
        return np.eye(3)


def _rows(
    points: Sequence[TiePoint], verdict: PointVerdict, source: FloatArray, target: FloatArray
) -> list[dict[str, Any]]:
    if verdict.homography is None:
        offsets = np.full((len(points), 2), np.nan)
    else:
        offsets = target - apply_homography(verdict.homography, source)
    rows = []
    for point, offset, agrees, leverage in zip(points, offsets, verdict.agreeing, verdict.leverages, strict=True):
        residual = float(np.hypot(*offset))
        # Of a point that the fit does not use, the residual is that of a fit without it.
        without = residual / max(1 - float(leverage), 1e-6) if agrees else residual
        rows.append(
            {
                "name": point.name,
                "dx": _finite(offset[0]),
                "dy": _finite(offset[1]),
                "residual_px": _finite(residual),
                "left_out_px": _finite(without),
                "leverage": _finite(leverage),
                "agrees": bool(agrees),
                "contradicts": point.name in verdict.contradictions,
            }
        )
    return rows


def _expected(
    verdict: PointVerdict, source: FloatArray, target: FloatArray, map_size: tuple[int, int], limits: PointLimits
) -> list[list[float | None]] | None:
    """Return the expected error (px) at a lattice of the map, row by row; None without a fit."""
    agreeing = verdict.agreeing
    if verdict.homography is None or verdict.model is None or agreeing.sum() <= MINIMAL_SAMPLE[verdict.model]:
        return None
    unit = max(map_size) / 2
    middle, target_middle = outline(*map_size).mean(axis=0), target[agreeing].mean(axis=0)
    normal_source, normal_target = (source[agreeing] - middle) / unit, (target[agreeing] - target_middle) / unit
    fitted = fit_points(verdict.model, normal_source, normal_target, np.ones(int(agreeing.sum())))
    if fitted is None:
        return None
    steps = (np.arange(LATTICE) + 0.5) / LATTICE
    places = np.stack(np.meshgrid(steps * map_size[0], steps * map_size[1]), axis=-1).reshape(-1, 2) - 0.5
    normal_places = (places - middle) / unit
    noise = limits.min_noise_px, limits.max_noise_px
    found = posterior(fitted.matrix, normal_source, normal_target, fitted.weights, normal_places, unit, noise)
    scale = np.diag([unit, unit, 1.0])
    matrix = normalised(translation(*target_middle) @ scale @ fitted.matrix @ inverse(scale) @ translation(*-middle))
    predicted = apply_homography(matrix, places) - target_middle
    errors = np.sqrt(found.mean_square(predicted)).reshape(LATTICE, LATTICE)
    return [[_finite(value) for value in row] for row in errors]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
