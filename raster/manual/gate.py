"""Whether hand-placed tie points may carry an alignment by themselves: as strict as automatic ones.

`judge_points` fits the lowest-order transformation that the points support, names the points that contradict it, and
predicts how far off the corners may be. It is pure: arrays in, a verdict out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.stats import f as fisher

from raster.fit import MINIMAL_SAMPLE, Model, distortion
from raster.homography import FloatArray, apply_homography
from raster.manual.frame import Frame, best_place, lattice_of, region_of
from raster.manual.models import MODELS, PointFit, consensus, fit_points, jacobian, predict
from raster.manual.places import SharedMistakes, shared_mistakes
from raster.manual.posterior import Posterior, posterior
from raster.manual.verdict import Place, PointCheck, PointLimits, PointVerdict
from raster.pixels import outline, within

MAX_POINTS = 2000

_LOOSER = (1, 4, 16)
"""Where no transformation brings most points within the cap, it is sought within so many times the cap: good enough to
start a search from, never to be accepted."""

_PRIOR_EQUATIONS, _PRIOR_NOISE = 4, 2
"""The noise estimate counts as much as so many equations of so many times the least noise beside the residuals."""


@dataclass(eq=False)
class _Draft:
    """A verdict under construction."""

    names: Sequence[str]
    limits: PointLimits
    checks: list[PointCheck] = field(default_factory=list)

    def check(self, name: str, value: float, limit: float, passed: bool, text: str) -> None:
        self.checks.append(PointCheck(name, float(value), float(limit), bool(passed), text))

    def named(self, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(name for name, is_chosen in zip(self.names, chosen, strict=True) if is_chosen)


def judge_points(
    source: FloatArray,
    target: FloatArray,
    names: Sequence[str],
    map_size: tuple[int, int],
    visible_size: tuple[int, int],
    limits: PointLimits | None = None,
) -> PointVerdict:
    """Fit map -> visible to hand-placed points and judge whether the fit may be trusted without other evidence.

    Tests: points inside their rasters; enough of them, those near one another counting as one; none that contradicts
    the rest (externally studentised residual, Cook and Weisberg, Residuals and Influence in Regression, 1982, chapter
    2); spread over the common area; rasters that overlap and are not mirrored; the error predicted at the corners
    (`raster.manual.posterior`); how far the corners move without any one point; and how far a mistake of any one point
    could move them before it would be noticed (external reliability: Baarda, A Testing Procedure for Use in Geodetic
    Networks, 1968).

    Args:
        source: (N, 2) points on the map, pixels (x, y), (0, 0) the centre of the top-left pixel.
        target: (N, 2) the same points on the visible raster.
        names: N names, for messages.
        map_size: Width and height of the map, px.
        visible_size: Width and height of the visible raster, px.
        limits: What the points must fulfil; the defaults of `PointLimits` if None.

    Returns:
        The verdict. The homography is given where most points agree on one, even if it is not accepted.

    Raises:
        ValueError: There are more than 2,000 points.
    """
    if len(source) > MAX_POINTS:
        raise ValueError(f"{len(source)} tie points: at most {MAX_POINTS} can be judged")
    draft = _Draft(names, limits or PointLimits())
    inside = within(source, *map_size) & within(target, *visible_size)
    outside = draft.named(~inside)
    draft.check("inside", len(outside), 0, not outside, f"points outside their rasters: {', '.join(outside)}")
    used = np.flatnonzero(inside)
    centre = target[used].mean(axis=0) if len(used) else np.zeros(2)
    frame = Frame(map_size, visible_size, centre)
    weights = _weights(source[used], draft.limits.near_share * float(np.hypot(*map_size)))
    points = frame.source(source[used]), frame.target(target[used]), weights, used
    found = _fit(*points[:3], draft.limits, frame.unit)
    if found is None:
        return _without_fit(draft, frame, source[used], float(weights.sum()))
    return _judged(draft, frame, *found, points)


def _weights(points: FloatArray, near: float) -> FloatArray:
    """Return how many points each counts as: less than one with others so near that one mistake moves them all."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    return np.asarray(1.0 / (distances <= near).sum(axis=1), np.float64)


def _fit(
    source: FloatArray, target: FloatArray, weights: FloatArray, limits: PointLimits, unit_px: float
) -> tuple[PointFit, NDArray[np.bool_], float] | None:
    """Return the fit that explains the most points for its parameters (BIC), which points agree with it, and the px
    within which they do."""
    for looser in _LOOSER:
        tolerance = looser * limits.max_residual_px / unit_px
        found = {}
        for model in MODELS:
            least = MINIMAL_SAMPLE[model] + (limits.spare_points - 1 if model != "similarity" else 0)
            agreed = consensus(model, source, target, weights, tolerance) if len(source) >= least else None
            if agreed is None or agreed[0].sum() < least or 2 * weights[agreed[0]].sum() <= weights.sum():
                continue
            agreeing, cost = agreed
            fitted = fit_points(model, source[agreeing], target[agreeing], weights[agreeing])
            if fitted is not None:
                found[model] = fitted, agreeing, cost
        if found:
            least_noise = limits.min_noise_px / unit_px
            noise = min(_noise(fitted, least_noise)[0] for fitted, _, _ in found.values())
            parameters = np.log(max(2 * weights.sum(), 2.0))
            best = min(found.values(), key=lambda one: one[2] / noise + len(one[0].cofactor) * parameters)
            return best[0], best[1], looser * limits.max_residual_px
    return None


def _noise(fitted: PointFit, least: float) -> tuple[float, float]:
    """Return the variance of a coordinate, and its degrees of freedom; `least` is the least standard deviation."""
    degrees = max(fitted.redundancy, 0) + _PRIOR_EQUATIONS
    return (fitted.square_sum + _PRIOR_EQUATIONS * (_PRIOR_NOISE * least) ** 2) / degrees, degrees


def _judged(
    draft: _Draft,
    frame: Frame,
    fitted: PointFit,
    agreeing: NDArray[np.bool_],
    tolerance_px: float,
    points: tuple[FloatArray, FloatArray, FloatArray, NDArray[np.intp]],
) -> PointVerdict:
    """Run the tests of a fit. `points`: normalised source and target (U, 2), weights (U,) and indices of the U used."""
    limits = draft.limits
    source, target, weights, used = points
    marked = source[agreeing], target[agreeing], weights[agreeing]
    region = region_of(frame, fitted.matrix)
    distribution: Posterior | None = None
    if region is not None:
        places = np.concatenate([frame.source(region), frame.source(lattice_of(frame))])
        noise = limits.min_noise_px, limits.max_noise_px
        around = next(filter(None, (_determined(model, *marked) for model in reversed(MODELS))), fitted)
        distribution = posterior(around.matrix, *marked, places, frame.unit, noise)
        fitted = _lowest_order(distribution, fitted, marked, limits)
    shared = shared_mistakes(fitted, marked[0], limits.place_share * float(np.hypot(*frame.map_size)) / frame.unit)
    suspects = _suspects(fitted, shared, limits, frame.unit)
    residuals, leverages = np.full(len(draft.names), np.nan), np.full(len(draft.names), np.nan)
    residuals[used] = np.linalg.norm(predict(fitted.matrix, source)[0] - target, axis=1) * frame.unit
    leverages[used[agreeing]] = np.linalg.eigvalsh(fitted.hat)[:, 1]
    agrees = np.zeros(len(draft.names), bool)
    agrees[used[agreeing]] = ~suspects
    with np.errstate(invalid="ignore"):
        agrees &= residuals <= tolerance_px
    contradicting = np.zeros(len(agrees), bool)
    contradicting[used] = ~agrees[used]
    names = draft.named(contradicting)
    _check_support(draft, fitted, names, float(residuals[agrees].max(initial=0)))
    place, error, risk = None, float("inf"), 1.0
    if region is None or distribution is None:
        draft.check("overlap", 0, limits.min_overlap, False, "under the result the rasters do not overlap")
    else:
        predicted = predict(fitted.matrix, places)[0] * frame.unit
        corners, lattice = slice(len(region)), slice(len(region), None)
        at_corners = distribution.at(corners)
        error = at_corners.error(predicted[corners], limits.max_risk)
        risk = float(at_corners.risk(predicted[corners], limits.max_corner_error_px).max())
        _check_geometry(draft, frame, fitted, region, shapely.MultiPoint(marked[0]).convex_hull.area)
        _check_corners(
            draft, frame, fitted, shared, region, error, draft.named(_only(used[agreeing], len(draft.names)))
        )
        place = best_place(frame, fitted.matrix, distribution.at(lattice).mean_square(predicted[lattice]))
    homography = frame.pixels(fitted.matrix)
    return PointVerdict(
        homography, fitted.model, agrees, residuals, leverages, error, risk, names, tuple(draft.checks), place
    )


def _determined(model: Model, source: FloatArray, target: FloatArray, weights: FloatArray) -> PointFit | None:
    """Fit a model that the points determine with an equation to spare."""
    return fit_points(model, source, target, weights) if 2 * weights.sum() > 2 * MINIMAL_SAMPLE[model] else None


def _lowest_order(
    distribution: Posterior,
    fitted: PointFit,
    marked: tuple[FloatArray, FloatArray, FloatArray],
    limits: PointLimits,
) -> PointFit:
    """Fit the most probable model among that of the consensus and those that the points are enough for."""
    probabilities = distribution.model_probabilities()
    for model in sorted(MODELS, key=lambda model: -probabilities[model]):
        if model == fitted.model:
            break
        if marked[2].sum() >= MINIMAL_SAMPLE[model] + limits.spare_points - 1e-9:
            other = fit_points(model, *marked)
            if other is not None:
                return other
    return fitted


def _suspects(fitted: PointFit, shared: SharedMistakes, limits: PointLimits, unit_px: float) -> NDArray[np.bool_]:
    """Return which points of a fit are further from what the others imply than their noise explains (Bonferroni); if
    none is by itself, those of the place that is furthest as a whole."""
    variance, degrees = _noise(fitted, limits.min_noise_px / unit_px)
    critical = _critical(fitted, limits, degrees)

    def excess(statistic: FloatArray) -> FloatArray:
        without = np.maximum((variance * degrees - statistic) / (degrees - 2), 1e-3 * variance)
        return np.asarray(statistic / 2 / without)

    alone = excess(fitted.weights * np.sum(fitted.residuals * fitted.deleted_residuals, axis=1)) > critical
    if alone.any():
        return np.asarray(alone)
    together = excess(shared.statistics)
    worst = int(together.argmax())
    return np.asarray(shared.members[worst] & (together[worst] > critical))


def _critical(fitted: PointFit, limits: PointLimits, degrees: float) -> float:
    """Return the value of Fisher's distribution beyond which one of the points is said to contradict the others."""
    return float(fisher.isf(limits.significance / len(fitted.weights), 2, degrees - 2))


def _check_support(draft: _Draft, fitted: PointFit, contradicting: tuple[str, ...], largest: float) -> None:
    """Test that no point contradicts the rest, that no hand is too far off, and that the points are enough."""
    text = f"manual points that contradict the rest: {', '.join(contradicting)}"
    draft.check("contradictions", len(contradicting), 0, not contradicting, text)
    limit = draft.limits.max_residual_px
    text = f"the points lie up to {largest:.0f} px from one transformation, {limit:g} are allowed"
    draft.check("residuals", largest, limit, largest <= limit, text)
    count, needed = float(fitted.weights.sum()), MINIMAL_SAMPLE[fitted.model] + draft.limits.spare_points
    text = f"{count:.3g} separate points agree on a transformation ({fitted.model}), {needed} are needed"
    draft.check("points", count, needed, count >= needed - 1e-9, text)


def _check_geometry(draft: _Draft, frame: Frame, fitted: PointFit, region: FloatArray, hull: float) -> None:
    """Test how the points spread (`hull`: normalised area) over what the rasters share, and how much that is."""
    limits = draft.limits
    spread = hull * frame.unit**2 / max(shapely.Polygon(region).area, 1e-9)
    text = f"the points spread over {spread:.0%} of the area common to both rasters, {limits.min_spread:.0%} are needed"
    draft.check("spread", spread, limits.min_spread, spread >= limits.min_spread, text)
    corners = apply_homography(frame.pixels(fitted.matrix), outline(*frame.map_size))
    mapped, visible = shapely.Polygon(corners), shapely.Polygon(outline(*frame.visible_size))
    overlap = 0.0
    if np.isfinite(corners).all() and mapped.is_valid:
        overlap = mapped.intersection(visible).area / max(min(mapped.area, visible.area), 1e-9)
    text = f"under the result the rasters share {overlap:.0%} of the smaller one, {limits.min_overlap:.0%} are needed"
    draft.check("overlap", overlap, limits.min_overlap, overlap >= limits.min_overlap, text)
    distorted = distortion(frame.pixels(fitted.matrix), region, region.mean(axis=0))
    draft.check("distortion", bool(distorted), 0, not distorted, f"under the result {distorted}")


def _check_corners(
    draft: _Draft,
    frame: Frame,
    fitted: PointFit,
    shared: SharedMistakes,
    region: FloatArray,
    error: float,
    names: Sequence[str],
) -> None:
    """Test how far off the corners may be, by noise and by a mistake of any one point or place."""
    limits, limit = draft.limits, draft.limits.max_corner_error_px
    text = f"a corner may be {error:.1f} px off, {limit:g} are allowed"
    draft.check("corners", error, limit, error <= limit, text)
    corners = frame.source(region)
    images, depths = predict(fitted.matrix, corners)
    there = jacobian(fitted.model, corners, images, depths)
    influence = np.einsum("mip,pq,njq->mnij", there, fitted.cofactor, fitted.jacobian, optimize=True)
    influence = influence * fitted.weights[None, :, None, None]
    moves = np.linalg.norm(np.einsum("mnij,nj->mni", influence, fitted.deleted_residuals), axis=2) * frame.unit
    name = names[int(moves.max(axis=0).argmax())]
    text = f"without the point {name} a corner would move by {moves.max():.1f} px, {limit:g} are allowed"
    draft.check("leave one out", moves.max(), limit, moves.max() <= limit, text)
    variance, degrees = _noise(fitted, limits.min_noise_px / frame.unit)
    spare = np.maximum(1 - np.linalg.eigvalsh(fitted.hat)[:, 1], 1e-9)
    unnoticed = np.sqrt(2 * _critical(fitted, limits, degrees) * variance / (fitted.weights * spare))
    moves = np.linalg.norm(influence, axis=(2, 3), ord=2) * unnoticed * frame.unit
    name = names[int(moves.max(axis=0).argmax())]
    _check_unnoticed(draft, "reliability", f"a mistake at the point {name}", moves.max())
    unnoticed = np.sqrt(2 * _critical(fitted, limits, degrees) * variance / np.maximum(shared.redundancy, 1e-9))
    moves = np.linalg.norm(np.einsum("mip,gpj->mgij", there, shared.carried), axis=(2, 3), ord=2) * unnoticed
    place = shared.members[int(moves.max(axis=0).argmax())]
    around = ", ".join(name for name, is_there in zip(names, place, strict=True) if is_there)
    _check_unnoticed(draft, "places", f"a mistake that the points {around} share", moves.max() * frame.unit)


def _check_unnoticed(draft: _Draft, name: str, mistake: str, move_px: float) -> None:
    limit = draft.limits.max_unnoticed_px
    text = f"{mistake} could move a corner by {move_px:.1f} px unnoticed, {limit:g} are allowed"
    draft.check(name, move_px, limit, move_px <= limit, text)


def _only(indices: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    chosen = np.zeros(count, bool)
    chosen[indices] = True
    return chosen


def _without_fit(draft: _Draft, frame: Frame, source: FloatArray, separate: float) -> PointVerdict:
    """Return the verdict on points of which no majority agrees; the place is the one farthest from all of them."""
    needed = MINIMAL_SAMPLE["similarity"] + draft.limits.spare_points
    if separate < needed - 1e-9:
        draft.check("points", separate, needed, False, f"{separate:.3g} separate points, {needed} are needed")
    else:
        text = f"no transformation brings most points within {draft.limits.max_residual_px:g} px"
        draft.check("contradictions", len(source), 0, False, f"the manual points do not agree: {text}")
    lattice = lattice_of(frame)
    distances = np.linalg.norm(lattice[:, None] - source[None], axis=2) if len(source) else np.zeros((len(lattice), 1))
    x, y = lattice[int(np.argmax(distances.min(axis=1)))]
    count = len(draft.names)
    nothing = np.full(count, np.nan)
    place = Place((float(x), float(y)), None)
    return PointVerdict(
        None, None, np.zeros(count, bool), nothing, nothing, float("inf"), 1.0, (), tuple(draft.checks), place
    )
