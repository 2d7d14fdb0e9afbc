"""Curves of recall and of distances, and maps of errors, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt
from matplotlib.collections import LineCollection

from raster.plots import plot, styles

Values = npt.NDArray[np.float64]

_NEAR_KM, _FAR_KM = 25.0, 750.0
_DISTANCES_KM = (1, 25, 200, 750, 2500)
_FARTHEST_KM = 20_004
_MOST_LINES = 2000


def recall_curves(ranks: Mapping[str, Values], gallery: Mapping[str, int]) -> str:
    """Return the share of queries whose first right answer is among the first k, over k.

    Args:
        ranks: Task -> (Q,) rank of the first right answer in the whole gallery, from 0.
        gallery: Task -> items of the gallery.
    """
    if not ranks:
        return ""
    most = max(2, *gallery.values())
    caption = "Recall of the first k answers, whole gallery"
    return _shares({task: values + 1 for task, values in ranks.items()}, most, "first k answers", caption)


def distance_curves(errors: Mapping[str, Values]) -> str:
    """Return the share of queries that are placed within a distance, over the distance.

    Args:
        errors: Task -> (Q,) kilometres.
    """
    if not errors:
        return ""
    return _shares(errors, _FARTHEST_KM, "kilometres", "Share of queries within a distance", _DISTANCES_KM)


def error_map(task: str, truth: Values, answers: Values, errors: Values) -> str:
    """Return a map with a line from where each query is to where it was placed.

    Args:
        task: Its name.
        truth: (Q, 2) longitude and latitude, degrees.
        answers: (Q, 2).
        errors: (Q,) kilometres; up to 25 km is drawn green, up to 750 km orange, more red. Of very many the largest
            are drawn.
    """
    worst = np.argsort(-errors)[:_MOST_LINES]
    # A line across 180 degrees goes the short way.
    east = truth[:, 0] + (answers[:, 0] - truth[:, 0] + 180) % 360 - 180
    there = np.stack([east, answers[:, 1]], axis=1)
    with plot([task, truth.tolist(), answers.tolist()]) as (axes, svg):
        for chosen, colour in (
            (errors <= _NEAR_KM, "#009e73"),
            ((errors > _NEAR_KM) & (errors <= _FAR_KM), "#e69f00"),
            (~(errors <= _FAR_KM), "#d55e00"),
        ):
            rows = worst[chosen[worst]]
            lines = np.stack([truth[rows], there[rows]], axis=1)
            axes.add_collection(LineCollection(list(lines), colors=colour, alpha=0.45), autolim=True)
            axes.plot(truth[rows, 0], truth[rows, 1], "o", color=colour, markersize=3)
        axes.grid(color="#e2e2e2")
        axes.margins(0.05)
        axes.xaxis.set_major_formatter("{x:g}°")
        axes.yaxis.set_major_formatter("{x:g}°")
    caption = "each query (dot) and where it was placed; green up to 25 km, orange up to 750 km, red beyond"
    return f"<figure>{svg[0]}<figcaption>{escape(task)}: {caption}</figcaption></figure>"


def _shares(
    values: Mapping[str, Values], most: float, label: str, caption: str, ticks: Sequence[float] | None = None
) -> str:
    """Return, for each task, the share of its values up to a limit, over the limit from 1 to `most`."""
    limits = np.geomspace(1, most, 200)
    with plot({task: each.tolist() for task, each in values.items()}) as (axes, svg):
        for (task, each), (dashes, colour) in zip(values.items(), styles(), strict=False):
            below = np.searchsorted(np.sort(each), limits, side="right")
            axes.plot(limits, 100 * below / max(len(each), 1), dashes, color=colour, label=task)
        axes.set(xscale="log", xlim=(1, most), ylim=(0, 100), xlabel=label, ylabel="queries, %")
        if ticks is not None:
            axes.set_xticks(ticks)
            axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:g}")
    return f"<figure>{svg[0]}<figcaption>{escape(caption)}</figcaption></figure>"
