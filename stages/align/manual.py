"""What the manual tie points of a pair say alone."""

from __future__ import annotations

from collections.abc import Sequence

from raster.manual.gate import judge_points
from raster.manual.verdict import PointLimits, PointVerdict
from stages.tiepoints import TiePoint, arrays


def judge_manual(
    points: Sequence[TiePoint],
    map_size: tuple[int, int],
    visible_size: tuple[int, int],
    limits: PointLimits | None = None,
) -> PointVerdict:
    """Fit map -> visible to manual points and judge whether they may carry the alignment by themselves.

    Args:
        points: Manual tie points.
        map_size: Width and height of the map, px.
        visible_size: Width and height of the visible raster, px.
        limits: What the points must fulfil; the defaults of `PointLimits` if None.

    Returns:
        The verdict (see `raster.manual.gate.judge_points`).
    """
    source, target = arrays(points)
    return judge_points(source, target, [point.name for point in points], map_size, visible_size, limits)
