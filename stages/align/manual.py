"""What the manual tie points of a pair say alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raster.homography import FloatArray, apply_homography, inverse, normalised, translation
from raster.manual.gate import judge_points
from raster.manual.verdict import PointLimits, PointVerdict
from raster.reader import RasterReader
from stages.align.result import Region
from stages.tiepoints import TiePoint, arrays

GROWTH = 0.25
"""Share of a region's side by which it is grown on each side: pairs cut by its transform reach over its border."""


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


def carry_regions(
    regions: Sequence[Region],
    points: Sequence[TiePoint],
    homography: FloatArray,
    chart: RasterReader,
    visible: RasterReader,
    limits: PointLimits | None = None,
) -> list[Region]:
    """Let manual points carry those refused regions in which they lie, by the same gate as for whole rasters.

    The points in and around a region are judged as if the region, grown by a quarter of its side, were the raster; what
    they say holds there and nowhere else.

    Args:
        regions: Of the alignment.
        points: Manual tie points.
        homography: Roughly right, map -> visible: which part of the map shows a region.
        chart: The map.
        visible: The visible raster.
        limits: What the points must fulfil; the defaults of `PointLimits` if None.

    Returns:
        The regions, those that are carried with a homography of their own.
    """
    source, target = arrays(points)
    return [
        region if region.accepted else _carried(region, points, source, target, homography, chart, visible, limits)
        for region in regions
    ]


def _carried(
    region: Region,
    points: Sequence[TiePoint],
    source: FloatArray,
    target: FloatArray,
    homography: FloatArray,
    chart: RasterReader,
    visible: RasterReader,
    limits: PointLimits | None,
) -> Region:
    low, high = np.array(region.bounds[:2]), np.array(region.bounds[2:])
    growth = GROWTH * (high - low)
    low = np.maximum(np.floor(low - growth), 0)
    high = np.minimum(np.ceil(high + growth), (visible.width, visible.height))
    inside = ((target >= low) & (target < high)).all(axis=1)
    if not inside.any():
        return region
    corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    on_map = np.concatenate([apply_homography(inverse(homography), corners), source[inside]])
    first = np.maximum(np.floor(on_map.min(axis=0)), 0)
    last = np.minimum(np.ceil(on_map.max(axis=0)) + 1, (chart.width, chart.height))
    if (last - first < 2).any():
        return region
    names = [point.name for point, held in zip(points, inside, strict=True) if held]
    sizes = [(int(side[0]), int(side[1])) for side in (last - first, high - low)]
    verdict = judge_points(source[inside] - first, target[inside] - low, names, sizes[0], sizes[1], limits)
    if not verdict.accepted or verdict.homography is None:
        return region._replace(reason=f"{region.reason}; its {len(names)} manual points: {verdict.reason}")
    own = normalised(translation(*low) @ verdict.homography @ translation(*-first))
    residuals = verdict.residuals[verdict.agreeing]
    return Region(
        region.bounds,
        True,
        "",
        verdict.corner_error_px,
        int(verdict.agreeing.sum()),
        float(verdict.agreeing.mean()),
        float(np.sqrt(np.mean(residuals**2))),
        "manual",
        tuple(own.ravel().tolist()),
    )
