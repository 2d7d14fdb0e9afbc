"""Plots as inline SVG: a few shapes, no script, readable in print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#444444", "#a5aa99", "#80ba5a")
"""Okabe and Ito's colours and a few more: told apart by colour-blind readers; repeated with dashes beyond ten."""

WIDTH, HEIGHT = 420, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 40
_LEAST_BAR = 1.5
"""Height of the bar of 0%: it was measured, unlike one that is not there."""


@dataclass(frozen=True)
class Axes:
    """Ranges and names of a plot's axes; `log_x` for a logarithmic one."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_name: str
    y_name: str
    log_x: bool = False

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a value lies in the drawing.

        Args:
            x: Value on the x axis, above 0 on a logarithmic one; beyond the range it lies outside the frame.
            y: Value on the y axis.

        Returns:
            SVG units: across from the left, down from the top.
        """
        low, high, at = (*np.log10(self.x), np.log10(x)) if self.log_x else (*self.x, x)
        across = (at - low) / (high - low)
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return _LEFT + float(across) * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)


def cumulative_errors(errors: Mapping[str, npt.NDArray[np.float64]], limit_px: float) -> str:
    """Draw, for each matcher, the share of pairs (%) with at most an error, up to a limit.

    The curve is the one whose area is reported (`matcher.benchmark.metrics.auc`): piecewise linear from the origin.

    Args:
        errors: By matcher: (N,) mean corner error of each pair, px; infinite where no homography was found, N > 0.
        limit_px: Right end of the plot, px.

    Returns:
        An SVG element.
    """
    axes = Axes((0, limit_px), (0, 100), "mean corner error, px", "pairs, %")
    curves = []
    for index, values in enumerate(errors.values()):
        ordered = np.sort(values[values < limit_px])
        share = 100 * np.arange(1, len(ordered) + 1) / max(1, len(values))
        x = np.concatenate([[0], ordered, [limit_px]])
        y = np.concatenate([[0], share, share[-1:] if len(share) else [0]])
        curves.append(_line(axes, x, y, index))
    return _frame(axes, curves, list(errors))


def success_by_level(success: Mapping[str, Mapping[str, float]], levels: Sequence[str]) -> str:
    """Draw success (share) of each matcher as bars, grouped by level.

    Args:
        success: By matcher, then level: share of pairs, 0 to 1. A level that is missing gets no bar.
        levels: Names of the levels, left to right.

    Returns:
        An SVG element.
    """
    axes = Axes((0, max(1, len(levels))), (0, 100), "", "success within 10 px, %")
    shapes = []
    width = 0.8 / max(1, len(success))
    for index, (matcher, by_level) in enumerate(success.items()):
        for place, level in enumerate(levels):
            if level not in by_level:
                continue
            value = 100 * by_level[level]
            left, top = axes.place(place + 0.1 + index * width, value)
            right, base = axes.place(place + 0.1 + (index + 1) * width, 0)
            top = min(top, base - _LEAST_BAR)
            shapes.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{base - top:.1f}" '
                f'fill="{_colour(index)}"><title>{escape(matcher)}, {escape(level)}: {value:.1f}%</title></rect>'
            )
    for place, level in enumerate(levels):
        x, y = axes.place(place + 0.5, 0)
        shapes.append(f'<text x="{x:.1f}" y="{y + 15:.1f}" text-anchor="middle">{escape(level)}</text>')
    return _frame(axes, shapes, list(success), ticks_x=False)


def runtime_and_accuracy(points: Mapping[str, tuple[float, float]]) -> str:
    """Draw each matcher at (median seconds a pair, AUC at 10 px as a share)."""
    seconds = [max(point[0], 1e-4) for point in points.values()]
    low, high = 10 ** np.floor(np.log10(min(seconds))), 10 ** np.ceil(np.log10(max(seconds) * 1.01))
    axes = Axes((float(low), float(high)), (0, 100), "seconds a pair (median)", "AUC 10 px, %", log_x=True)
    shapes = []
    for index, (matcher, (time, share)) in enumerate(points.items()):
        x, y = axes.place(max(time, 1e-4), 100 * share)
        title = f"{escape(matcher)}: {time:.3g} s, {100 * share:.1f}%"
        shapes.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{_colour(index)}"><title>{title}</title></circle>'
        )
    return _frame(axes, shapes, list(points))


def _line(axes: Axes, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], index: int) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in (axes.place(*point) for point in zip(x, y, strict=True)))
    dashes = ' stroke-dasharray="6 3"' if index >= len(PALETTE) else ""
    return f'<polyline fill="none" stroke="{_colour(index)}" stroke-width="2"{dashes} points="{points}"/>'


def _frame(axes: Axes, shapes: Sequence[str], names: Sequence[str], ticks_x: bool = True) -> str:
    parts = []
    for value in np.linspace(*axes.y, 6):
        x, y = axes.place(axes.x[0], value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    for value in _ticks(axes) if ticks_x else ():
        x, y = axes.place(value, axes.y[0])
        parts.append(f'<text x="{x:.1f}" y="{y + 15:.1f}" text-anchor="middle">{value:g}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(axes.x_name)}</text>')
    up = (HEIGHT - _BOTTOM) / 2
    parts.append(f'<text transform="translate(12 {up}) rotate(-90)" text-anchor="middle">{escape(axes.y_name)}</text>')
    legend = "".join(
        f'<span><i style="background:{_colour(index)}"></i>{escape(name)}</span>' for index, name in enumerate(names)
    )
    drawing = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join([*parts, *shapes])}</svg>'
    return f'<figure>{drawing}<figcaption class="legend">{legend}</figcaption></figure>'


def _ticks(axes: Axes) -> Sequence[float]:
    if axes.log_x:
        return [10.0**power for power in range(round(np.log10(axes.x[0])), round(np.log10(axes.x[1])) + 1)]
    return [float(value) for value in np.linspace(*axes.x, 5)]


def _colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]
