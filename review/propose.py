"""The sub-pixel place where map and image correlate best, around one that a person marked."""

from __future__ import annotations

from typing import Any

import numpy as np

from raster.homography import Matrix, apply_homography
from raster.pair import RasterPair
from review.errors import Refused

WINDOW = 192
RADIUS = 24
_NEVER_SPLIT = 1 << 20


def propose_place(pair: RasterPair, start: Matrix, map_xy: tuple[float, float], visible_xy: tuple[float, float]) -> Any:
    """Correlate windows around a tie point.

    Args:
        pair: The rasters.
        start: Homography map -> visible that is roughly right: it says scale and angle, the point says the place.
        map_xy: The point on the map, px.
        visible_xy: The point on the visible raster, px.

    Returns:
        `visible` (x, y) where the map's point lies by the correlation, its `score` (1 is best), `peak_margin`, and
        whether it is `reliable`: a distinct peak, found back from the other side, and not at the search's border.

    Raises:
        Refused: 422 where the windows reach over a border, or hold no structure on both sides.
    """
    from stages.align.features import harmonics  # torch: only where it is needed
    from stages.align.fine import Layout, measure
    from stages.align.limits import WindowLimits
    from stages.align.threads import one_thread

    moved = start.copy()
    at = apply_homography(start, [map_xy])[0]
    if not np.isfinite(at).all():
        raise Refused(422, "the fit puts this point nowhere; place it by eye")
    shift = np.eye(3)
    shift[:2, 2] = np.subtract(visible_xy, at)
    moved = shift @ moved
    corner = np.round(np.asarray(visible_xy) - (WINDOW - 1) / 2).astype(int)
    limit = np.array([pair.visible.width, pair.visible.height]) - WINDOW
    if (limit < 0).any():
        raise Refused(422, f"the image is smaller than a window of {WINDOW} px")
    corner = np.clip(corner, 0, limit)
    layout = Layout(1, WINDOW, RADIUS, corner[None], _NEVER_SPLIT)
    limits = WindowLimits()
    with one_thread():
        found = measure(pair, moved, layout, harmonics(limits.min_structure), limits)
    if not len(found):
        raise Refused(422, f"the windows of {WINDOW} px around this point hold too little structure to compare")
    offset = found.found[0] - found.expected[0]
    place = np.asarray(visible_xy) + offset
    margin = float(found.peak_margins[0])
    return {
        "visible": place.tolist(),
        "score": float(found.scores[0]),
        "peak_margin": margin if np.isfinite(margin) else None,
        "reliable": bool(found.reliable[0]),
    }
