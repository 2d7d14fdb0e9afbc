"""The coarse step: a first homography from whatever prior there is, over the whole raster at reduced resolution."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch

from matcher import load_matcher
from matcher.dense.hypotheses import distinct_hypotheses, refine_hypothesis, search_similarities
from matcher.dense.masked_image import MaskedImage
from matcher.dense.matcher import DenseMatcher, RefinementStep
from raster.fit import fit
from raster.homography import FloatArray, apply_homography, inverse
from raster.pair import RasterPair
from raster.reader import RasterReader
from raster.resample import warped
from stages.align.view import reduced_view

SIDE = 1024
"""Longer side, in pixels, of the rasters that this step looks at; at most twice that."""

MARGIN = 0.25
"""How far beyond the visible raster's footprint, as a share of its longer side, the prior may be wrong."""


class Search(NamedTuple):
    """Initial hypotheses: every combination of `angles` (radians) and `scales`, on rasters of `side` pixels.

    Of the best, `refined` are refined and `followed` are followed to the resolution of this step.
    """

    angles: FloatArray
    scales: Sequence[float]
    side: int
    refined: int
    followed: int


ALL_ANGLES: FloatArray = np.arange(120, dtype=np.float64) * (2 * np.pi / 120)
NEAR_PRIOR = Search(np.deg2rad(np.arange(-9.0, 9.1, 3.0)).astype(np.float64), (0.92, 0.96, 1.0, 1.04, 1.08), 192, 0, 1)
ANY_ROTATION = Search(ALL_ANGLES, (0.92, 1.0, 1.08), 128, 4, 2)
ANY_SIMILARITY = Search(ALL_ANGLES, tuple(2.0 ** (step / 4) for step in range(-4, 5)), 160, 4, 2)

STEPS = (
    RefinementStep(0.25, 0.35, 0.10, ("similarity",)),
    RefinementStep(0.5, 0.25, 0.04, ("similarity", "affine")),
)
"""How an initial hypothesis is followed to the resolution of this step."""


def coarse_candidates(pair: RasterPair, prior: FloatArray | None, matcher: str) -> Iterator[tuple[str, FloatArray]]:
    """Yield initial hypotheses, the likeliest first.

    A georeference is taken to be right within `MARGIN`, 9 degrees and 8%; then within any rotation; without one, any
    rotation and scales from 1/2 to 2 are searched.

    Args:
        pair: The map and the visible raster.
        prior: Homography map -> visible that the georeferences imply, or None.
        matcher: Name of a matcher (see `matcher.load_matcher`), which is asked first, once for the whole pair; "cfog"
            searches hypotheses by correlation, which all others fall back to.

    Yields:
        The method that found the hypothesis, and the homography map -> visible, full-resolution pixels.
    """
    map_view, visible, to_view, to_visible = _views(pair, prior)
    if not map_view.mask.any() or not visible.mask.any():
        return
    for method, matrix in _between_views(map_view, visible, prior is not None, matcher):
        homography = inverse(to_visible) @ matrix @ to_view
        yield method, homography / homography[2, 2]


def _between_views(
    map_view: MaskedImage, visible: MaskedImage, placed: bool, matcher: str
) -> Iterator[tuple[str, FloatArray]]:
    """Yield methods and hypotheses between the views: the matcher's, and after it those of the correlation."""
    if matcher != "cfog":
        matched = load_matcher(matcher, "auto").match(map_view.image, visible.image)
        fitted = fit(matched.points0, matched.points1, "similarity", threshold_px=6.0)
        if fitted.matrix is not None:
            yield matcher, fitted.matrix
    for search in (NEAR_PRIOR, ANY_ROTATION) if placed else (ANY_SIMILARITY,):
        for matrix in _by_hypotheses(map_view, visible, search):
            yield "cfog", matrix


def _views(pair: RasterPair, prior: FloatArray | None) -> tuple[MaskedImage, MaskedImage, FloatArray, FloatArray]:
    """Return both sides reduced, the map brought to the visible side's scale and orientation by the prior, and the
    matrices from the rasters' pixels to the views'."""
    visible, to_visible = reduced_view(pair.visible, SIDE)
    if prior is None:
        view, to_view = reduced_view(pair.map, SIDE)
        return view, visible, to_view, to_visible
    height, width = visible.image.shape[:2]
    margin = math.ceil(MARGIN * max(height, width))
    shift = np.array([[1, 0, margin], [0, 1, margin], [0, 0, 1]], dtype=np.float64)
    to_view = shift @ to_visible @ prior
    image, mask = warped(pair.map, to_view, width + 2 * margin, height + 2 * margin)
    return MaskedImage(image, mask, visible.device), visible, to_view, to_visible


@torch.no_grad()
def _by_hypotheses(map_view: MaskedImage, visible: MaskedImage, search: Search) -> Iterator[FloatArray]:
    """Yield the best hypotheses of a search, followed to the resolution of this step: matrices between the views."""
    hypotheses = search_similarities(map_view, visible, search.angles, search.scales, search.side)
    if search.refined:
        hypotheses = [
            refine_hypothesis(map_view, visible, hypothesis)
            for hypothesis in distinct_hypotheses(hypotheses, search.refined)
        ]
    matcher = DenseMatcher(visible.device)
    for hypothesis in sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[: search.followed]:
        matrix, score = matcher.refine(map_view, visible, hypothesis.matrix, STEPS)
        if math.isfinite(score):
            yield matrix


def gsd_ratio(homography: FloatArray, visible: RasterReader) -> float:
    """Return how many visible pixels a map pixel spans at the visible raster's centre (the root of the area ratio).

    Args:
        homography: 3x3, map -> visible, full-resolution pixels.
        visible: Gives the size, and so the centre where the ratio is taken; its pixels are not read.

    Returns:
        Above 1 where the map is the coarser raster; not finite where the homography is degenerate at the centre.
    """
    centre = np.array([[visible.width / 2, visible.height / 2]])
    here = apply_homography(inverse(homography), centre)
    square = apply_homography(homography, here + np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    return float(np.sqrt(abs(cv2.contourArea(square.astype(np.float32)))))
