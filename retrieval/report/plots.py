"""Curves and maps as SVG, to stand in a page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 300, 46, 36, 10
_MOST_LINES = 2000


def recall_curves(ranks: Mapping[str, Values], gallery: Mapping[str, int]) -> str:
    """Return the share of queries whose first right answer is among the first k, over k.

    Args:
        ranks: Task -> (Q,) rank of the first right answer in the whole gallery, from 0.
        gallery: Task -> items of the gallery.
    """
    if not ranks:
        return ""
    most = max(gallery.values())
    steps = np.unique(np.geomspace(1, max(most, 2), 60).astype(int))
    frame = _Frame((0.0, float(np.log10(max(most, 2)))), (0.0, 1.0))
    lines = [frame.grid([(float(k), str(10**k)) for k in range(int(np.log10(max(most, 2))) + 1)], "first k answers")]
    for (_, values), colour in zip(ranks.items(), _COLOURS, strict=False):
        shares = [(float(np.log10(k)), float((values < k).mean())) for k in steps.tolist()]
        lines.append(frame.line(shares, colour))
    legend = _legend(list(ranks))
    caption = "Recall of the first k answers, whole gallery"
    return f"<figure>{frame.svg(lines)}{legend}<figcaption>{caption}</figcaption></figure>"


def distance_curves(errors: Mapping[str, Values]) -> str:
    """Return the share of queries that are placed within a distance, over the distance.

    Args:
        errors: Task -> (Q,) kilometres.
    """
    if not errors:
        return ""
    frame = _Frame((0.0, 4.1), (0.0, 1.0))
    steps = np.linspace(0, 4.1, 60)
    ticks = [(0.0, "1"), (float(np.log10(25)), "25"), (float(np.log10(200)), "200"), (float(np.log10(750)), "750"),
             (float(np.log10(2500)), "2500")]  # fmt: skip
    lines = [frame.grid(ticks, "kilometres")]
    for (_, values), colour in zip(errors.items(), _COLOURS, strict=False):
        lines.append(frame.line([(float(s), float((values <= 10**s).mean())) for s in steps], colour))
    legend = _legend(list(errors))
    return f"<figure>{frame.svg(lines)}{legend}<figcaption>Share of queries within a distance</figcaption></figure>"


def error_map(task: str, truth: Values, answers: Values, errors: Values) -> str:
    """Return a map with a line from where each query is to where it was placed.

    Args:
        task: Its name.
        truth: (Q, 2) longitude and latitude, degrees.
        answers: (Q, 2).
        errors: (Q,) kilometres; up to 25 km is drawn green, up to 750 km orange, more red.
    """
    # A line across 180 degrees goes the short way.
    east = truth[:, 0] + (answers[:, 0] - truth[:, 0] + 180) % 360 - 180
    answers = np.stack([east, answers[:, 1]], axis=1)
    every = np.concatenate([truth, answers])
    low, high = every.min(axis=0) - 1, every.max(axis=0) + 1
    frame = _Frame((float(low[0]), float(high[0])), (float(low[1]), float(high[1])))
    ticks = [(float(x), f"{x:g}°") for x in _round_steps(low[0], high[0])]
    rows = [(float(y), f"{y:g}°") for y in _round_steps(low[1], high[1])]
    parts = [frame.grid(ticks, "", rows)]
    order = np.argsort(-errors)[:_MOST_LINES]
    for n in order.tolist():
        colour = "#009e73" if errors[n] <= 25 else "#e69f00" if errors[n] <= 750 else "#d55e00"
        (x0, y0), (x1, y1) = frame.place(*truth[n]), frame.place(*answers[n])
        parts.append(f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" opacity=".45"/>')
        parts.append(f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="2.2" fill="{colour}"/>')
    caption = (
        f"{escape(task)}: each query (dot) and where it was placed; green up to 25 km, orange up to 750 km, red beyond"
    )
    return f"<figure>{frame.svg(parts)}<figcaption>{caption}</figcaption></figure>"


class _Frame:
    """A rectangle of the page in the units of its axes."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        across = (x - self._x[0]) / (self._x[1] - self._x[0] or 1)
        up = (y - self._y[0]) / (self._y[1] - self._y[0] or 1)
        return _LEFT + across * (_WIDTH - _LEFT - 10), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP)

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> str:
        """Return a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.place(*point) for point in points))
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'

    def grid(
        self, columns: Sequence[tuple[float, str]], label: str, rows: Sequence[tuple[float, str]] | None = None
    ) -> str:
        """Return lines and numbers of both axes; without rows those of shares."""
        parts = []
        for value, text in columns:
            x, _ = self.place(value, self._y[0])
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
            parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{text}</text>')
        shares = [(share, f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
        for value, text in shares if rows is None else rows:
            _, y = self.place(self._x[0], value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(label)}</text>')
        return "".join(parts)

    @staticmethod
    def svg(parts: Sequence[str]) -> str:
        """Return the picture."""
        return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def _legend(names: Sequence[str]) -> str:
    entries = [
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(names, _COLOURS, strict=False)
    ]
    return f'<div class="legend">{"".join(entries)}</div>'


def _round_steps(low: float, high: float) -> Values:
    step = float(10 ** np.floor(np.log10(max(high - low, 1e-6) / 2)))
    step *= 2.0 if (high - low) / step > 12 else 1.0
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
