"""Plots of the report as inline SVG, drawn by matplotlib: no script, readable in print, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, product
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from matcher.benchmark.metrics import error_curve

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#444444", "#a5aa99", "#80ba5a")
"""Okabe and Ito's colours and a few more: told apart by colour-blind readers; repeated with dashes beyond ten."""

_LEAST_BAR = 0.8
"""Height of the bar of 0%: it was measured, unlike one that is not there."""


def cumulative_errors(errors: Mapping[str, npt.NDArray[np.float64]], limit_px: float) -> str:
    """Draw, for each matcher, the share of pairs (%) with at most an error, up to a limit.

    The curve is the one whose area is reported (`matcher.benchmark.metrics.auc`).

    Args:
        errors: By matcher: (N,) mean corner error of each pair, px; infinite where no homography was found, N > 0.
        limit_px: Right end of the plot, px.

    Returns:
        An SVG element.
    """
    with _drawing({name: values.tolist() for name, values in errors.items()}) as (axes, svg):
        for (name, values), (dashes, colour) in zip(errors.items(), _styles(), strict=False):
            x, y = error_curve(values, limit_px)
            axes.plot(x, 100 * y, dashes, color=colour, label=name)
        axes.set(xlim=(0, limit_px), xlabel="mean corner error, px", ylabel="pairs, %")
    return svg[0]


def success_by_level(success: Mapping[str, Mapping[str, float]], levels: Sequence[str]) -> str:
    """Draw success (share) of each matcher as bars, grouped by level.

    Args:
        success: By matcher, then level: share of pairs, 0 to 1. A level that is missing gets no bar.
        levels: Names of the levels, left to right.

    Returns:
        An SVG element.
    """
    width = 0.8 / max(1, len(success))
    with _drawing(success) as (axes, svg):
        for index, ((name, by_level), (_, colour)) in enumerate(zip(success.items(), _styles(), strict=False)):
            measured = [place for place, level in enumerate(levels) if level in by_level]
            heights = [max(100 * by_level[levels[place]], _LEAST_BAR) for place in measured]
            left = [place + 0.1 + index * width for place in measured]
            axes.bar(left, heights, width, align="edge", color=colour, label=name)
        axes.set(xlim=(0, max(1, len(levels))), ylabel="success within 10 px, %")
        axes.set_xticks([place + 0.5 for place in range(len(levels))], levels)
    return svg[0]


def runtime_and_accuracy(points: Mapping[str, tuple[float, float]]) -> str:
    """Draw each matcher at (median seconds a pair, AUC at 10 px as a share)."""
    with _drawing(points) as (axes, svg):
        for (name, (seconds, share)), (_, colour) in zip(points.items(), _styles(), strict=False):
            axes.plot(max(seconds, 1e-4), 100 * share, "o", color=colour, label=name, clip_on=False)
        axes.set(xscale="log", xlabel="seconds a pair (median)", ylabel="AUC 10 px, %")
        axes.xaxis.set_major_formatter("{x:g}")
    return svg[0]


def _styles() -> Iterator[tuple[str, str]]:
    """Yield dashes and colour of one matcher after the other, without end."""
    return cycle(product(("-", "--"), PALETTE))


@contextmanager
def _drawing(data: Mapping[str, Any]) -> Iterator[tuple[Any, list[str]]]:
    """Open the axes of a plot in percent; afterwards the list holds it as SVG. Plots of other data have other ids."""
    svg: list[str] = []
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": repr(data), "font.size": 8}):
        figure = Figure(figsize=(4.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        yield axes, svg
        axes.set_ylim(0, 100)
        axes.grid(axis="y", color="#e2e2e2")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside lower center", ncols=3, frameon=False)
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata={"Date": None})
    drawing = page.getvalue()
    svg.append(f"<figure>{drawing[drawing.index('<svg') :]}</figure>")
