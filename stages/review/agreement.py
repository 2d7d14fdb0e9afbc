"""How well people agree who marked tie points of the same raster pair, each for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from raster.fit import MINIMAL_SAMPLE, Model
from raster.homography import FloatArray, Matrix, apply_homography
from raster.manual.models import fit_points, predict
from stages.tiepoints import TiePoint, arrays

SPARE = 1
"""Points that an operator needs beyond those that determine the transformation, to count."""


@dataclass(frozen=True)
class Agreement:
    """What operators' points say of one another.

    Attributes:
        operators: Their names, in order.
        operator_px: For each, the root mean square distance of their points from the alignment, visible px.
        inter_operator_px: Root mean square distance between the transformations that any two of them imply, each from
            their own points, over all places of the map that any of them marked, visible px. None with one operator.
    """

    operators: tuple[str, ...]
    operator_px: tuple[float, ...]
    inter_operator_px: float | None


def measure_agreement(points: Sequence[TiePoint], homography: Matrix) -> Agreement | None:
    """Compare the operators of a raster pair.

    All are compared by one model, the affine where all have points enough for it, else the similarity: a difference of
    the model's order is no disagreement. Operators with fewer points than a similarity needs and one more do not count.

    Args:
        points: Manual tie points, with their operators; those without one do not count.
        homography: The alignment, map -> visible px.

    Returns:
        The agreement; None where no operator counts.
    """
    marked = {name: [point for point in points if point.operator == name] for name in {p.operator for p in points}}
    least = MINIMAL_SAMPLE["similarity"] + SPARE
    named = sorted(name for name, own in marked.items() if name and len(own) >= least)
    if not named:
        return None
    sides = {name: arrays(marked[name]) for name in named}
    errors = tuple(_rms(apply_homography(homography, source) - target) for source, target in sides.values())
    if len(named) == 1:
        return Agreement(tuple(named), errors, None)
    everywhere = np.vstack([source for source, _ in sides.values()])
    fewest = min(len(source) for source, _ in sides.values())
    model: Model = "affine" if fewest >= MINIMAL_SAMPLE["affine"] + SPARE else "similarity"
    implied = [_implied(model, *both, everywhere) for both in sides.values()]
    fitted = [places for places in implied if places is not None]
    distances = [a - b for a, b in combinations(fitted, 2)]
    return Agreement(tuple(named), errors, _rms(np.vstack(distances)) if distances else None)


def _implied(model: Model, source: FloatArray, target: FloatArray, places: FloatArray) -> FloatArray | None:
    """Return where a fit to points puts places; None where the points do not determine it."""
    centre, unit = source.mean(axis=0), max(float(np.ptp(source, axis=0).max()), 1.0)
    fitted = fit_points(model, (source - centre) / unit, target / unit, np.ones(len(source)))
    if fitted is None:
        return None
    return np.asarray(predict(fitted.matrix, (places - centre) / unit)[0] * unit)


def _rms(offsets: FloatArray) -> float:
    return round(float(np.sqrt(np.mean(np.sum(offsets**2, axis=1)))), 4)
