"""Plots of the benchmark's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from matcher.benchmark.metrics import error_curve
from raster.plots import plot, styles

_LEAST_BAR = 0.8
"""Height of the bar of 0%: it was measured, unlike one that is not there."""


def cumulative_errors(errors: Mapping[str, npt.NDArray[np.float64]], limit_px: float) -> str:
    """Draw, for each matcher, the share of pairs (%) with at most an error, up to a limit.

    The curve is the one whose area is reported (`matcher.benchmark.metrics.auc`).

    Args:
        errors: By matcher: (N,) mean corner error of each pair, px; infinite where no homography was found, N > 0.
        limit_px: Right end of the plot, px.

    Returns:
        A figure with an SVG element.
    """
    with plot({name: values.tolist() for name, values in errors.items()}) as (axes, svg):
        for (name, values), (dashes, colour) in zip(errors.items(), styles(), strict=False):
            x, y = error_curve(values, limit_px)
            axes.plot(x, 100 * y, dashes, color=colour, label=name)
        axes.set(xlim=(0, limit_px), ylim=(0, 100), xlabel="mean corner error, px", ylabel="pairs, %")
    return f"<figure>{svg[0]}</figure>"


def success_by_level(success: Mapping[str, Mapping[str, float]], levels: Sequence[str]) -> str:
    """Draw success (share) of each matcher as bars, grouped by level.

    Args:
        success: By matcher, then level: share of pairs, 0 to 1. A level that is missing gets no bar.
        levels: Names of the levels, left to right.

    Returns:
        A figure with an SVG element.
    """
    width = 0.8 / max(1, len(success))
    with plot(success) as (axes, svg):
        for index, ((name, by_level), (_, colour)) in enumerate(zip(success.items(), styles(), strict=False)):
            measured = [place for place, level in enumerate(levels) if level in by_level]
            heights = [max(100 * by_level[levels[place]], _LEAST_BAR) for place in measured]
            left = [place + 0.1 + index * width for place in measured]
            axes.bar(left, heights, width, align="edge", color=colour, label=name)
        axes.set(xlim=(0, max(1, len(levels))), ylim=(0, 100), ylabel="success within 10 px, %")
        axes.set_xticks([place + 0.5 for place in range(len(levels))], levels)
    return f"<figure>{svg[0]}</figure>"


def runtime_and_accuracy(points: Mapping[str, tuple[float, float]]) -> str:
    """Draw each matcher at (median seconds a pair, AUC at 10 px as a share)."""
    with plot(points) as (axes, svg):
        for (name, (seconds, share)), (_, colour) in zip(points.items(), styles(), strict=False):
            axes.plot(max(seconds, 1e-4), 100 * share, "o", color=colour, label=name, clip_on=False)
        axes.set(xscale="log", ylim=(0, 100), xlabel="seconds a pair (median)", ylabel="AUC 10 px, %")
        axes.xaxis.set_major_formatter("{x:g}")
    return f"<figure>{svg[0]}</figure>"
